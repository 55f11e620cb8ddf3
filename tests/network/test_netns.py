"""Reads the host and a container's network together, in one thread."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import errors
from controller.container_root import Process
from controller.network import netns, snapshot
from controller.network.snapshot import Snapshot
from tests.support import descriptors
from tests.support.bare_container import BareContainer
from tests.support.lan import Lan

MAC = "02:00:00:00:01:0a"
NAMESPACE = Path("/proc/thread-self/ns/net")


@pytest.fixture
def container(lan: Lan) -> Iterator[Process]:
    """A process with one macvlan link in its own network namespace."""
    made = BareContainer(lan, MAC)
    yield made.link.process
    made.end()


async def test_the_host_is_read_on_the_host_and_the_links_inside(container: Process) -> None:
    on_host, found = await netns.read(container, NAMESPACE.readlink)

    assert on_host == NAMESPACE.readlink()
    assert [link.mac_address for link in found.links] == [MAC]


async def test_both_are_read_in_one_thread(container: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()
    take = snapshot.take

    def noted() -> Snapshot:
        threads.add(threading.get_ident())
        return take()

    monkeypatch.setattr(snapshot, "take", noted)
    await netns.read(container, lambda: threads.add(threading.get_ident()))

    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_a_read_leaves_no_library_to_collect(container: Process) -> None:
    def libraries() -> int:
        return sum(isinstance(each, ctypes.CDLL) for each in gc.get_objects())

    await netns.read(container, lambda: None)
    before = libraries()
    gc.disable()
    try:
        await netns.read(container, lambda: None)
        assert libraries() == before
    finally:
        gc.enable()


async def test_an_error_on_the_host_closes_the_namespace(container: Process) -> None:
    before = descriptors.opened("net:")
    with pytest.raises(errors.Retry, match="Cannot read the network of process"):
        await netns.read(container, lambda: Path("/nonexistent").stat())
    assert descriptors.opened("net:") == before


async def test_a_process_of_the_host_is_refused() -> None:
    with pytest.raises(errors.Retry):
        await netns.read(Process(os.getpid(), "0123456789ab"), lambda: None)
