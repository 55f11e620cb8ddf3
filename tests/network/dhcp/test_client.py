"""A lease client that is closed or cancelled while its socket is being opened."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from controller.network.dhcp import client as dhcp_client
from controller.network.dhcp.client import LeaseClient, Link
from controller.network.dhcp.machine import Machine
from controller.network.dhcp.requests import Client
from tests.support.processes import bare


class SlowSocket:
    """``open`` sets ``began``, blocks until ``gate`` is set and returns one end of a socket pair."""

    def __init__(self) -> None:
        self.began, self.gate = threading.Event(), threading.Event()
        self.made, self.other = socket.socketpair()

    def open(self, pid: int, name: str) -> socket.socket:
        self.began.set()
        self.gate.wait(30)
        return self.made


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowSocket]:
    """Replaces the socket of a link."""
    slow = SlowSocket()
    monkeypatch.setattr(dhcp_client, "open_link", slow.open)
    yield slow
    slow.made.close()
    slow.other.close()


def lease_client() -> LeaseClient:
    machine = Machine(Client(b"\x02" * 6, "plc-1"), None, lambda: 0.5, checks=True)
    return LeaseClient(Link(bare(os.getpid()), "lan0", 1), machine, changed=lambda: None, renewed=lambda: None)


async def closed(end: socket.socket) -> None:
    """Wait until the other end is closed."""
    end.setblocking(False)
    assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(end, 1), 30) == b""


async def test_closing_a_client_during_its_start_leaves_no_socket_open(slow: SlowSocket) -> None:
    client = lease_client()
    starting = asyncio.create_task(client.start())
    await asyncio.to_thread(slow.began.wait, 30)
    client.close()
    slow.gate.set()
    await starting
    assert not client.alive
    await closed(slow.other)


async def test_cancelling_the_start_leaves_no_socket_open(slow: SlowSocket) -> None:
    client = lease_client()
    starting = asyncio.create_task(client.start())
    await asyncio.to_thread(slow.began.wait, 30)
    starting.cancel()
    await asyncio.wait([starting])
    slow.gate.set()
    assert not client.alive
    await closed(slow.other)
