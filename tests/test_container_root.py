"""A container's root is opened through a process that is verified to be the container's."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from controller.container_root import Process, folder

ID = "8e5b" * 16


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{ID}.scope",
        f"0::/../{ID}",
        f"0::/plant/{ID}/init.scope",
        f"12:pids:/docker/{ID}\n1:name=systemd:/docker/{ID}",
    ],
)
def test_the_cgroup_of_every_driver_and_version_names_the_container(tmp_path: Path, cgroup: str) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text(f"{cgroup}\n")
    assert Process(7, ID).runs(tmp_path)
    assert not Process(7, "0000" * 16).runs(tmp_path)
    assert not Process(8, ID).runs(tmp_path)


@pytest.mark.parametrize("container", ["", ID])
def test_a_host_process_is_refused(container: str) -> None:
    assert not Process(os.getpid(), container).runs()
    with pytest.raises(OSError, match="is not the container's"), folder(Process(1, container), PurePosixPath("/etc")):
        pass


def test_a_pid_reused_after_the_check_is_not_entered(tmp_path: Path) -> None:
    for number, root in (("7", "ours"), ("8", "another's")):
        (tmp_path / number / "root" / root).mkdir(parents=True)
        (tmp_path / number / "cgroup").write_text(f"0::/docker/{ID}\n")
    process = Process(7, ID)
    with process.opened(tmp_path) as held:
        (tmp_path / "7").rename(tmp_path / "gone")
        (tmp_path / "8").rename(tmp_path / "7")
        assert os.stat("root/ours", dir_fd=held)
