"""Links, addresses and routes inside a container's network namespace, read and changed with iproute2.

The namespace is opened once and held by its file descriptor, so that a process id which is used again in between
cannot lead to another namespace; our own (the host's) is refused. Decides nothing: see wiring.py.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path
from types import TracebackType
from typing import Any

from controller import errors
from controller.api import reasons
from controller.container_root import Process
from controller.network import commands

_IP = ("ip", "-json", "-details", "-batch", "-")

Command = tuple[str, ...]
"""Arguments of one ``ip`` command, none with a space or a line break in it."""


@dataclass(frozen=True)
class Link:
    """One link; ``kind`` is the kernel's word (macvlan, veth, ...), ``parent_index`` its parent's number or 0."""

    name: str
    mac_address: str
    kind: str
    up: bool
    addresses: tuple[IPv4Interface, ...] = ()
    parent_index: int = 0
    alternative_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """What stands in a namespace; ``default_routes`` are pairs of gateway and link."""

    links: tuple[Link, ...] = ()
    default_routes: tuple[tuple[str, str], ...] = ()

    def by_mac(self, mac_address: str) -> Link | None:
        """The macvlan link with this MAC address, or None: a spec may ask for that of the engine's internal link."""
        wanted = mac_address.lower()
        return next((link for link in self.links if link.kind == "macvlan" and link.mac_address == wanted), None)


class Namespace:
    """The network namespace of a process, or one that is mounted, held open; an async context manager.

    Raises errors.Retry(STEP_FAILED) when it is gone or the host's.
    """

    def __init__(self, where: Process | Path) -> None:
        self._where = where
        self._descriptor = -1

    async def __aenter__(self) -> Namespace:
        self._descriptor = await asyncio.to_thread(_open, self._where)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    async def snapshot(self) -> Snapshot:
        """Links with their IPv4 addresses, and default routes."""
        output = await self._ip("address show\nroute show default\n", inside=True)
        links, routes = _documents(output)
        return Snapshot(
            tuple(_link(entry) for entry in links if entry["ifname"] != "lo"),
            tuple((route.get("gateway", ""), route["dev"]) for route in routes),
        )

    async def apply(self, commands: Sequence[Command]) -> None:
        """Run the commands inside, in order, up to the first that fails."""
        if commands:
            await self._ip("".join(f"{' '.join(command)}\n" for command in commands), inside=True)

    async def add_macvlan(self, name: str, parent: str, mac_address: str) -> None:
        """Make a macvlan link on the host's ``parent``, born inside this namespace."""
        where = f"link add name {name} link {parent} netns {self._path} address {mac_address}"
        await self._ip(f"{where} type macvlan mode bridge\n", inside=False)

    async def take_in(self, name: str, temporary: str) -> None:
        """Move a link of the host in here; it is down afterwards, and ``temporary`` is a name that is free."""
        await self._ip(f"link set dev {name} netns {self._path} name {temporary}\n", inside=False)

    async def hand_out(self, name: str, new_name: str) -> None:
        """Move a link from here to the host, under this name; it is down afterwards."""
        await self._ip(f"link set dev {name} netns /proc/{os.getpid()}/ns/net name {new_name}\n", inside=True)

    @property
    def _path(self) -> str:
        return f"/proc/self/fd/{self._descriptor}"

    async def _ip(self, batch: str, *, inside: bool) -> str:
        enter = ["nsenter", f"--net={self._path}"] if inside else []
        return await commands.run([*enter, *_IP], batch, [self._descriptor])


def _open(where: Process | Path) -> int:
    shown = where if isinstance(where, Path) else f"process {where.pid}"
    try:
        descriptor = os.open(where, os.O_RDONLY | os.O_CLOEXEC) if isinstance(where, Path) else where.network()
    except OSError as error:
        raise errors.Retry(
            reasons.STEP_FAILED, f"The network of {shown} cannot be entered: {error.strerror}"
        ) from error
    if os.fstat(descriptor).st_ino == os.stat("/proc/self/ns/net").st_ino:  # noqa: PTH116 - beside an fstat
        os.close(descriptor)
        raise errors.Retry(reasons.STEP_FAILED, f"The network of {shown} is the host's network, not a container's")
    return descriptor


def _documents(output: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The two JSON documents that one batch prints, one after the other."""
    decoder = json.JSONDecoder()
    text = output.strip()
    links, end = decoder.raw_decode(text)
    routes, _ = decoder.raw_decode(text[end:].strip() or "[]")
    return links, routes


def _link(entry: dict[str, Any]) -> Link:
    addresses = [info for info in entry.get("addr_info", ()) if info.get("family") == "inet"]
    return Link(
        name=entry["ifname"],
        mac_address=entry.get("address", "").lower(),
        kind=entry.get("linkinfo", {}).get("info_kind", ""),
        up="UP" in entry.get("flags", ()),
        addresses=tuple(IPv4Interface(f"{info['local']}/{info['prefixlen']}") for info in addresses),
        parent_index=int(entry.get("link_index", 0)),
        alternative_names=tuple(entry.get("altnames", ())),
    )
