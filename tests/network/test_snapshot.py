"""Snapshots of a real network namespace, as the kernel reports it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Interface
from pathlib import Path
from typing import NoReturn, cast

import pytest

from controller import errors
from controller.network import netlink_attributes, rtnetlink, setns
from controller.network import rtnetlink_types as types
from controller.network.netns import Namespace
from tests.support import ownership
from tests.support.command import run
from tests.support.lan import PREFIX, Lan

MAC = "02:00:00:00:02:01"
SOL_NETLINK, NETLINK_GET_STRICT_CHK = 270, 12  # linux/netlink.h
MULTIPART, INTERRUPTED = 0x2, 0x10


def message(kind: int, flags: int, body: bytes) -> bytes:
    """A netlink message."""
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def entry(body: bytes) -> bytes:
    """A message with an entry of a table."""
    return message(16, MULTIPART, body)


def end(flags: int) -> bytes:
    """The last message of a dump."""
    return message(3, MULTIPART | flags, bytes(4))


END = end(0)


class ScriptedKernel:
    """Answers each request with the messages of the next dump: nobody can time a change of a real table so exactly."""

    def __init__(self, dumps: list[list[bytes]]) -> None:
        self._dumps = dumps
        self._waiting: list[bytes] = []

    def send(self, _: bytes) -> None:
        """Take a request."""
        self._waiting = self._dumps.pop(0)

    def recvmsg(self, _: int) -> tuple[bytes, list[object], int, tuple[int, int]]:
        """Return the next message."""
        return self._waiting.pop(0), [], 0, (0, 0)


def netlink() -> socket.socket:
    """A socket as any program can open one."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a new network namespace."""
    made = ownership.new_name(PREFIX)
    run("ip", "netns", "add", made)
    yield made
    run("ip", "netns", "delete", made, check=False)


def ip(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``ip`` in the namespace."""
    return run("ip", "-n", name, *arguments)


def mount(name: str) -> Path:
    """The file that holds the namespace."""
    return Path("/run/netns", name)


async def test_links_have_their_kind_parent_state_addresses_and_names(lan: Lan, name: str) -> None:
    macvlan = ("link", lan.parent, "netns", name, "address", MAC, "type", "macvlan", "mode", "bridge")
    run("ip", "link", "add", "name", "plant", *macvlan)
    ip(name, "link", "property", "add", "dev", "plant", "altname", "eth0", "altname", "eth1")
    for address in ("10.0.0.2/24", "10.0.0.3/24", "172.16.0.1/12"):
        ip(name, "address", "add", address, "dev", "plant")
    ip(name, "link", "add", "inner0", "up", "type", "veth", "peer", "name", "inner1")

    async with Namespace(mount(name)) as namespace:
        found = await namespace.snapshot()

    plant = found.by_mac(MAC.upper())
    assert plant is not None
    assert (plant.name, plant.kind, plant.up) == ("plant", "macvlan", False)
    assert plant.parent_index == socket.if_nametoindex(lan.parent)
    assert plant.addresses == tuple(map(IPv4Interface, ("10.0.0.2/24", "172.16.0.1/12", "10.0.0.3/24")))
    assert plant.alternative_names == ("eth0", "eth1")
    inner = {link.name: link for link in found.links if link.kind == "veth"}
    assert {link: (each.up, each.parent_index) for link, each in inner.items()} == {
        "inner0": (True, 0),
        "inner1": (False, 0),
    }
    assert len(found.links) == 3  # without lo


async def test_default_routes_are_those_of_the_main_table(name: str) -> None:
    ip(name, "link", "add", "plant", "up", "type", "veth", "peer", "name", "other")
    ip(name, "address", "add", "10.0.0.2/24", "dev", "plant")
    ip(name, "route", "add", "default", "via", "10.0.0.1", "dev", "plant")
    ip(name, "route", "add", "default", "dev", "plant", "metric", "7")
    ip(name, "route", "add", "10.9.0.0/16", "via", "10.0.0.1")
    ip(name, "route", "add", "default", "via", "10.0.0.9", "table", "100")

    async with Namespace(mount(name)) as namespace:
        assert (await namespace.snapshot()).default_routes == (("10.0.0.1", "plant"), ("", "plant"))


async def test_a_dump_of_many_messages_is_read_to_its_end(name: str) -> None:
    batch = "".join(f"link add a{number} type veth peer name b{number}\n" for number in range(60))
    run("ip", "-n", name, "-batch", "-", stdin=batch)

    async with Namespace(mount(name)) as namespace:
        assert len((await namespace.snapshot()).links) == 120


async def test_no_program_is_started(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> NoReturn:
        raise AssertionError("a program was started")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)

    async with Namespace(mount(name)) as namespace:
        assert (await namespace.snapshot()).links == ()


async def test_a_kernel_that_does_not_answer_is_given_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    released, entered = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang() -> None:
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(released.wait(), loop).result()

    monkeypatch.setattr("controller.network.netns._SECONDS", 0.05)
    monkeypatch.setattr("controller.network.snapshot.take", hang)
    async with Namespace(mount(name)) as namespace:
        with pytest.raises(errors.Retry, match=f"Cannot configure the network of {mount(name)}: the kernel is busy"):
            await namespace.snapshot()

    await entered.wait()
    released.set()


def test_the_kernels_refusal_is_an_error() -> None:
    with rtnetlink.connect() as kernel:
        with pytest.raises(OSError, match="not supported") as refusal:
            rtnetlink.table(kernel, 1022, struct.Struct("=B3x"))
        assert refusal.value.strerror == os.strerror(refusal.value.errno or 0)


def test_a_dump_that_ends_with_an_error_is_no_empty_table() -> None:
    with rtnetlink.connect() as kernel:
        kernel.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)  # then the kernel refuses a short header
        with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
            rtnetlink.table(kernel, types.GET_LINK, struct.Struct("=B3x"))


def test_a_program_in_the_container_cannot_send_to_the_socket() -> None:
    with rtnetlink.connect() as kernel, netlink() as program, pytest.raises(ConnectionRefusedError):
        program.sendto(END, kernel.getsockname())


def test_what_a_program_in_the_container_sent_is_not_taken_for_the_kernels() -> None:
    with netlink() as socket_of_ours, netlink() as program:
        socket_of_ours.bind((0, 0))
        program.sendto(END, socket_of_ours.getsockname())
        assert rtnetlink.table(socket_of_ours, types.GET_LINK, types.LINK_HEADER)


def test_a_table_that_changed_before_its_last_message_is_read_again() -> None:
    kernel = ScriptedKernel([[entry(b"\1"), end(INTERRUPTED)], [entry(b"\2"), end(0)]])
    found = rtnetlink.table(cast("socket.socket", kernel), types.GET_LINK, struct.Struct("=B"))
    assert [each.fields for each in found] == [(2,)]


def test_a_truncated_attribute_is_the_end() -> None:
    assert netlink_attributes.attributes(b"\x06\0\x01\0ab\0\0\x02\0\x02\0") == {1: b"ab"}


async def test_the_thread_of_the_caller_stays_in_its_namespace(name: str) -> None:
    before = Path("/proc/thread-self/ns/net").readlink()
    descriptor = os.open(mount(name), os.O_RDONLY)
    try:
        inside = await setns.run_inside(
            descriptor, lambda: None, lambda _: Path("/proc/thread-self/ns/net").readlink(), 5
        )
    finally:
        os.close(descriptor)

    assert inside != before
    assert Path("/proc/thread-self/ns/net").readlink() == before
