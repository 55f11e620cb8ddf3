"""Device nodes in a container's root, which may contain symlinks to anywhere."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller import errors
from controller.api import reasons
from controller.container_root import Process
from controller.devices import nodes
from controller.devices.serial_device import SerialDevice

PROCESS = Process(7, "c0ffee")
DEVICE = SerialDevice("usb-1", "/dev/ttyUSB0", os.makedev(188, 0), 0o640, 3, 4)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A fake /proc with one process and a folder as its root."""
    (tmp_path / "proc/7/root/dev").mkdir(parents=True)
    (tmp_path / "proc/7/cgroup").write_text("0::/docker/c0ffee\n")
    return tmp_path / "proc"


def test_a_node_has_the_hosts_number_owner_and_mode(proc: Path) -> None:
    nodes.place(PROCESS, "/dev/plc/line0", DEVICE, proc)
    status = (proc / "7/root/dev/plc/line0").stat()
    assert stat.S_ISCHR(status.st_mode)
    assert (status.st_rdev, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (DEVICE.number, 0o640, 3, 4)
    assert nodes.find_node(PROCESS, "/dev/plc/line0", proc) == DEVICE.number


def test_a_node_with_another_number_replaces_it_without_leftovers(proc: Path) -> None:
    os.mknod(proc / "7/root/dev/plc0", stat.S_IFCHR | 0o600, os.makedev(188, 9))
    nodes.place(PROCESS, "/dev/plc0", DEVICE, proc)
    assert nodes.find_node(PROCESS, "/dev/plc0", proc) == DEVICE.number
    assert [path.name for path in (proc / "7/root/dev").iterdir()] == ["plc0"]


def test_a_file_that_is_no_device_is_never_replaced_or_removed(proc: Path) -> None:
    file = proc / "7/root/dev/plc0"
    file.write_text("precious")
    with pytest.raises(errors.Retry, match="is not a device"):
        nodes.place(PROCESS, "/dev/plc0", DEVICE, proc)
    nodes.remove(PROCESS, "/dev/plc0", proc)
    assert file.read_text() == "precious"
    assert nodes.find_node(PROCESS, "/dev/plc0", proc) is None


@pytest.mark.parametrize("path", ["/link/plc0", "/dev/../../../../etc/plc0", "/..", "/dev/..", "/", "/dev/a\0b"])
def test_no_path_leads_out_of_the_container(proc: Path, path: str) -> None:
    (proc / "7/root/link").symlink_to("/tmp")
    with pytest.raises(errors.Retry, match="Cannot create the device"):
        nodes.place(PROCESS, path, DEVICE, proc)
    assert nodes.find_node(PROCESS, path, proc) is None
    nodes.remove(PROCESS, path, proc)


def test_a_symlink_in_place_of_the_node_is_not_followed(proc: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    os.mknod(target, stat.S_IFCHR | 0o600, DEVICE.number)
    (proc / "7/root/dev/plc0").symlink_to(target)
    assert nodes.find_node(PROCESS, "/dev/plc0", proc) is None
    nodes.remove(PROCESS, "/dev/plc0", proc)
    assert target.exists()


def test_a_node_is_removed_and_a_missing_one_ignored(proc: Path) -> None:
    nodes.place(PROCESS, "/dev/plc0", DEVICE, proc)
    nodes.remove(PROCESS, "/dev/plc0", proc)
    nodes.remove(PROCESS, "/dev/plc0", proc)
    assert nodes.find_node(PROCESS, "/dev/plc0", proc) is None
    nodes.remove(Process(8, "c0ffee"), "/dev/plc0", proc)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A host file that no container may touch."""
    file = tmp_path / "shadow"
    file.write_text("root")
    file.chmod(0o600)
    return file


def untouched(file: Path) -> bool:
    """Return whether mode and owner are unchanged."""
    status = file.stat()
    return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o600, 0, 0)


@pytest.mark.parametrize("after", ["mknod", "open", "chown"])
def test_a_symlink_swapped_in_for_a_new_node_changes_nothing_on_the_host(
    proc: Path, precious: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    folder, call = proc / "7/root/dev", getattr(os, after)

    def swapped(*arguments: Any, **more: Any) -> Any:
        result = call(*arguments, **more)
        for node in folder.glob(".plc0.*"):
            node.unlink()
            node.symlink_to(precious)
        return result

    monkeypatch.setattr(os, after, swapped)
    with pytest.raises(errors.Retry, match="Cannot create the device"):
        nodes.place(PROCESS, "/dev/plc0", DEVICE, proc)
    assert untouched(precious)


def test_a_process_that_swaps_every_node_for_a_symlink_never_reaches_the_host(proc: Path, precious: Path) -> None:
    swap = (
        "import os, sys\n"
        "folder, target = sys.argv[1:]\n"
        "os.chdir(folder)\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    for name in os.listdir():\n"
        "        if name.startswith('.plc0.'):\n"
        "            try: os.symlink(target, 'trap'); os.rename('trap', name)\n"
        "            except OSError: pass\n"
    )
    arguments = [sys.executable, "-I", "-S", "-c", swap, str(proc / "7/root/dev"), str(precious)]
    lost, deadline = 0, time.monotonic() + 20
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as hostile:
        assert hostile.stdout
        hostile.stdout.readline()
        while lost < 20 and time.monotonic() < deadline:
            try:
                nodes.place(PROCESS, "/dev/plc0", DEVICE, proc)
            except errors.Retry:
                lost += 1
                (proc / "7/root/dev/plc0").unlink(missing_ok=True)
            assert untouched(precious)
        hostile.kill()
    assert lost, "the hostile process was never fast enough to try anything"


def test_a_reused_process_id_is_another_process(proc: Path) -> None:
    (proc / "7/cgroup").write_text("0::/system.slice/sshd.service\n")
    with pytest.raises(errors.Retry, match="is not the container's"):
        nodes.place(PROCESS, "/dev/plc0", DEVICE, proc)
    os.mknod(proc / "7/root/dev/plc0", stat.S_IFCHR | 0o600, DEVICE.number)
    nodes.remove(PROCESS, "/dev/plc0", proc)
    assert (proc / "7/root/dev/plc0").exists()


@pytest.fixture
def remapped(tmp_path: Path) -> Path:
    """A /proc whose process has the ids of an engine with userns-remap."""
    made = tmp_path / "proc"
    (made / "7/root/dev").mkdir(parents=True)
    (made / "7/cgroup").write_text("0::/docker/c0ffee\n")
    for name in ("uid_map", "gid_map"):
        (made / "7" / name).write_text("         0     100000         20\n")
    return made


@pytest.mark.parametrize(("owner", "expected"), [(3, 100003), (20, 100000)], ids=["an id it has", "another id"])
def test_a_node_belongs_to_the_containers_ids(remapped: Path, owner: int, expected: int) -> None:
    nodes.place(PROCESS, "/plc0", replace(DEVICE, owner=owner, group=0), remapped)
    status = (remapped / "7/root/plc0").stat()
    assert (status.st_uid, status.st_gid) == (expected, 100000)
    assert nodes.find_node(PROCESS, "/plc0", remapped) == DEVICE.number


def test_a_node_of_an_id_that_the_container_lacks_is_placed_again(remapped: Path) -> None:
    node = remapped / "7/root/plc0"
    os.mknod(node, stat.S_IFCHR | 0o660, DEVICE.number)
    assert nodes.find_node(PROCESS, "/plc0", remapped) is None
    nodes.place(PROCESS, "/plc0", DEVICE, remapped)
    assert nodes.find_node(PROCESS, "/plc0", remapped) == DEVICE.number


# A file system of a user namespace, as /dev is with userns-remap.
REMAPPED = "mount -t tmpfs none /mnt && echo ready && read _"


def test_a_place_where_no_device_can_be_opened_is_named(tmp_path: Path) -> None:
    # The namespace has only an id that is not ours, as with an engine that remaps.
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig=KILL"]
    command += ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c", REMAPPED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        (tmp_path / "7").mkdir()
        (tmp_path / "7/cgroup").write_text("0::/docker/c0ffee\n")
        for name in ("root", "uid_map", "gid_map"):
            (tmp_path / "7" / name).symlink_to(f"/proc/{process.pid}/{name}")
        with pytest.raises(errors.Stalled, match="choose a containerPath outside /dev") as refused:
            nodes.place(PROCESS, "/mnt/plc0", DEVICE, tmp_path)
        process.communicate(b"\n", 20)
    assert refused.value.reason == reasons.DEVICES_UNSUPPORTED
