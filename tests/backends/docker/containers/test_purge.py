"""A retired agent removes the container whose first process it is, and no other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import docker
import pytest

from controller.backends.docker.containers import purge
from tests.support.dockerd import Engine

IDENTIFIER = "a" * 64
MOUNT = "612 590 8:1 /var/lib/docker/containers/{}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw\n"


@pytest.mark.parametrize(
    ("mounts", "found"),
    [
        ("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + MOUNT.format(IDENTIFIER), IDENTIFIER),
        ("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", ""),
        ("22 1 8:1 /containers/short/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n", ""),
    ],
)
def test_the_container_is_identified_by_its_mounts(mounts: str, found: str) -> None:
    assert purge.own_container(mounts) == found


async def test_nothing_is_removed_outside_of_a_container(tmp_path: Path) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    assert not await purge.remove_own_container("unix:///nonexistent", mountinfo)


async def test_without_an_engine_nothing_is_removed(tmp_path: Path) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(MOUNT.format(IDENTIFIER))
    assert not await purge.remove_own_container(f"unix://{tmp_path}/none", mountinfo)


@pytest.mark.docker
@pytest.mark.parametrize("ours", [True, False])
async def test_only_the_container_whose_first_process_we_are_is_removed(
    engine: Engine, docker_client: docker.DockerClient, runtime_image: str, tmp_path: Path, ours: bool
) -> None:
    container = await asyncio.to_thread(docker_client.containers.run, f"{runtime_image}:1", detach=True)
    try:
        await asyncio.to_thread(container.reload)
        mountinfo = tmp_path / "mountinfo"
        mountinfo.write_text(MOUNT.format(container.id))
        pid = container.attrs["State"]["Pid"] if ours else 1
        removed = await purge.remove_own_container(engine.url, mountinfo, pid)
        left = [found.id for found in await asyncio.to_thread(docker_client.containers.list)]
        assert removed is ours
        assert (container.id in left) is not ours
    finally:
        if not ours:
            await asyncio.to_thread(container.remove, force=True)
