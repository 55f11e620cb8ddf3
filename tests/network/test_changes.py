"""The kernel's notifications of network changes, in the test's own network namespace."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import socket
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from controller.network.changes import changes, route_socket
from tests.support import ownership, requirements
from tests.support.command import run

_CLONE_NEWNET = 0x40000000
NEVER = 3600.0


class Namespace:
    """A quiet network namespace with an open notification socket in it."""

    def __init__(self) -> None:
        self.name = ownership.new_name("el")
        run("ip", "netns", "add", self.name)
        with ThreadPoolExecutor(1) as thread:  # a thread that has joined the namespace cannot be reused
            self.messages = thread.submit(self._open).result()

    def ip(self, *arguments: str) -> None:
        run("ip", "-n", self.name, *arguments)

    def watch(self, **timings: float) -> AsyncGenerator[None, None]:
        return changes(open_socket=lambda: self.messages, **timings)

    def _open(self) -> socket.socket:
        descriptor = os.open(Path("/run/netns", self.name), os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            return route_socket()
        finally:
            os.close(descriptor)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    requirements.root()
    made = Namespace()
    try:
        yield made
    finally:
        made.messages.close()
        run("ip", "netns", "delete", made.name, check=False)


@pytest.mark.parametrize(
    "change",
    [
        ("link", "add", "a1", "type", "veth", "peer", "name", "b1"),
        ("link", "delete", "a0"),
        ("link", "set", "a0", "down"),
        ("addr", "add", "192.0.2.9/24", "dev", "a0"),
        ("route", "add", "198.51.100.0/24", "via", "192.0.2.2"),
    ],
    ids=["link appears", "link vanishes", "link goes down", "address", "route"],
)
async def test_each_kind_of_change_is_noticed(namespace: Namespace, change: tuple[str, ...]) -> None:
    namespace.ip("link", "add", "a0", "type", "veth", "peer", "name", "b0")
    namespace.ip("addr", "add", "192.0.2.1/24", "dev", "a0")
    for link in ("a0", "b0"):
        namespace.ip("link", "set", link, "up")
    async with contextlib.aclosing(namespace.watch(quiet=0.3, safety=NEVER)) as watched:
        await anext(watched)
        namespace.ip(*change)
        await anext(watched)


async def test_a_burst_is_one_change(namespace: Namespace) -> None:
    async with contextlib.aclosing(namespace.watch(quiet=0.3, at_most=NEVER, safety=NEVER)) as watched:
        for number in range(5):
            namespace.ip("link", "add", f"c{number}", "type", "bridge")
        await anext(watched)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await anext(watched)


async def test_endless_changes_are_still_reported(namespace: Namespace) -> None:
    namespace.ip("link", "add", "c0", "type", "bridge")
    async with contextlib.aclosing(namespace.watch(quiet=NEVER, at_most=0.1, safety=NEVER)) as watched:
        await anext(watched)


async def test_it_also_yields_periodically_without_changes(namespace: Namespace) -> None:
    async with contextlib.aclosing(namespace.watch(safety=0.01)) as watched:
        await anext(watched)
        await anext(watched)


async def test_dropped_messages_count_as_a_change(namespace: Namespace, caplog: pytest.LogCaptureFixture) -> None:
    namespace.messages.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    caplog.set_level(logging.DEBUG)
    for number in range(20):  # more than the receive buffer holds
        namespace.ip("link", "add", f"d{number}", "type", "bridge")
    async with contextlib.aclosing(namespace.watch(quiet=0.05, safety=NEVER)) as watched:
        await anext(watched)
        assert "Lost some notifications of network changes" in caplog.text
        namespace.ip("link", "delete", "d0")
        await anext(watched)


async def test_a_closed_watch_closes_its_socket(namespace: Namespace) -> None:
    watched = namespace.watch(safety=0.01)
    await anext(watched)
    await watched.aclose()
    assert namespace.messages.fileno() == -1
