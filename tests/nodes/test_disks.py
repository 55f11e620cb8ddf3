"""The disks of a node: their location, their faults, and that a hanging disk or engine blocks nothing."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import errors
from controller.api import reasons
from controller.disk import Disk
from controller.nodes import disks
from controller.nodes.disks import Disks
from tests.support import small_disk
from tests.support.small_disk import SmallDisk


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small file system for the engine's directory."""
    with small_disk.tmpfs(tmp_path / "root", size="4m") as made:
        yield made


class FakeEngine:
    """Returns its root directory, or does not answer."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.answers = True

    async def root(self) -> str:
        if not self.answers:
            raise errors.Waiting(reasons.DAEMON_UNREACHABLE, "Docker does not answer")
        return self.folder


async def test_the_disk_of_docker_is_at_the_engines_last_answer() -> None:
    disk, engine = disks.of_docker(), FakeEngine("/data/docker")
    engine.answers = False
    await disks.locate(disk, engine.root)
    assert disk.directory == disks.DEFAULT_ROOT
    engine.answers = True
    await disks.locate(disk, engine.root)
    engine.answers = False
    await disks.locate(disk, engine.root)
    assert disk.directory == Path("/data/docker")


async def test_an_engine_that_names_no_directory_changes_nothing() -> None:
    disk = disks.of_docker()
    await disks.locate(disk, FakeEngine("").root)
    assert disk.directory == disks.DEFAULT_ROOT


async def test_an_engine_restarted_with_another_directory_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "LOCATE_SECONDS", 0.0)
    disk, asked = disks.of_docker(), asyncio.Event()

    async def root() -> str:
        if disk.directory == Path("/moved"):
            asked.set()
        return "/moved"

    following = asyncio.create_task(disks.follow(disk, root))
    await asyncio.wait_for(asked.wait(), 20)
    following.cancel()


async def test_a_disk_reports_when_it_fills_up_and_when_it_has_room_again(
    small: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "CHECK_SECONDS", 0.0)
    docker = disks.of_docker()
    docker.directory = small.path
    changes: asyncio.Queue[str] = asyncio.Queue()
    watching = asyncio.create_task(disks.watch(docker, lambda: changes.put_nowait(docker.fault)))

    await asyncio.to_thread(small.fill)
    full = await asyncio.wait_for(changes.get(), 20)
    await asyncio.to_thread(small.free)

    assert full.startswith(f"the disk of Docker ({small.path}) is full")
    assert "running runtimes continue" in full
    assert await asyncio.wait_for(changes.get(), 20) == ""
    watching.cancel()


def test_a_disk_that_is_not_visible_is_omitted(tmp_path: Path, small: SmallDisk) -> None:
    seen = Disks(Disk(tmp_path), disks.of_docker())
    seen.docker.directory = tmp_path / "nowhere"
    seen.docker.check()
    assert seen.faults() == {"state": ""}
    seen.docker.directory = small.path
    small.fill()
    fault = seen.docker.check()
    assert seen.faults() == {"state": "", "docker": fault}


async def test_a_hanging_disk_does_not_block_the_process(tmp_path: Path) -> None:
    loop, asked, answers = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def hanging(folder: Path) -> os.statvfs_result:
        loop.call_soon_threadsafe(asked.set)
        answers.wait()
        return os.statvfs(folder)

    watching = asyncio.create_task(disks.watch(Disk(tmp_path, hanging), lambda: None))
    await asyncio.wait_for(asked.wait(), 20)
    watching.cancel()
    await asyncio.wait([watching], timeout=20)

    assert watching.cancelled()
    (thread,) = (each for each in threading.enumerate() if each.name == "disk-0")
    assert thread.daemon
    answers.set()
    await asyncio.to_thread(thread.join)
