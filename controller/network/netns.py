"""Links, addresses and routes inside a container's network namespace, read and changed with iproute2.

The namespace is opened once and held by its file descriptor, so that a reused process id cannot lead to another
namespace. Our own namespace (the host's) is refused. Decisions are made in link_plan.py.
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
"""Arguments of one ``ip`` command; none contains a space or a line break."""


@dataclass(frozen=True)
class Link:
    """One link; ``kind`` is the kernel's term (macvlan, veth, ...), ``parent_index`` the parent's ifindex or 0."""

    name: str
    mac_address: str
    kind: str
    up: bool
    addresses: tuple[IPv4Interface, ...] = ()
    parent_index: int = 0
    alternative_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """The observed state of a namespace; ``default_routes`` are pairs of gateway and link."""

    links: tuple[Link, ...] = ()
    default_routes: tuple[tuple[str, str], ...] = ()

    def by_mac(self, mac_address: str) -> Link | None:
        """Return the macvlan link with this MAC address, or None. The engine's internal link may have the same one."""
        wanted = mac_address.lower()
        return next((link for link in self.links if link.kind == "macvlan" and link.mac_address == wanted), None)


class Namespace:
    """The network namespace of a process or of a mount, held open; an async context manager.

    Raises errors.Retry(STEP_FAILED) when it is gone or is the host's.
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
        """Return the links with their IPv4 addresses, and the default routes."""
        output = await self._ip("address show\nroute show default\n", inside=True)
        links, routes = _documents(output)
        return Snapshot(
            tuple(_link(entry) for entry in links if entry["ifname"] != "lo"),
            tuple((route.get("gateway", ""), route["dev"]) for route in routes),
        )

    async def apply(self, commands: Sequence[Command]) -> None:
        """Run the commands inside in order, stopping at the first failure."""
        if commands:
            await self._ip("".join(f"{' '.join(command)}\n" for command in commands), inside=True)

    async def add_macvlan(self, name: str, parent: str, mac_address: str) -> None:
        """Create a macvlan link on the host's ``parent``, directly in this namespace."""
        # Created inside at once: a crash between creation and move would leave it on the host.
        where = f"link add name {name} link {parent} netns {self._path} address {mac_address}"
        await self._ip(f"{where} type macvlan mode bridge\n", inside=False)

    async def move_in(self, name: str, temporary: str) -> None:
        """Move a host link into this namespace under the free name ``temporary``; it is down afterwards."""
        # One command: a move under its own name fails if the engine uses that name inside.
        await self._ip(f"link set dev {name} netns {self._path} name {temporary}\n", inside=False)

    async def move_out(self, name: str, new_name: str) -> None:
        """Move a link from here to the host under this name; it is down afterwards."""
        # nsenter changes only the network namespace, so /proc still shows our process, and with it the host's network.
        await self._ip(f"link set dev {name} netns /proc/{os.getpid()}/ns/net name {new_name}\n", inside=True)

    @property
    def _path(self) -> str:
        return f"/proc/self/fd/{self._descriptor}"

    async def _ip(self, batch: str, *, inside: bool) -> str:
        enter = ["nsenter", f"--net={self._path}"] if inside else []
        # The programs open the path in their own process, so they must inherit the descriptor.
        return await commands.run([*enter, *_IP], batch, [self._descriptor])


def _open(where: Process | Path) -> int:
    shown = where if isinstance(where, Path) else f"process {where.pid}"
    try:
        descriptor = os.open(where, os.O_RDONLY | os.O_CLOEXEC) if isinstance(where, Path) else where.network()
    except OSError as error:
        raise errors.Retry(
            reasons.STEP_FAILED, f"Cannot enter the network namespace of {shown}: {error.strerror}"
        ) from error
    if os.fstat(descriptor).st_ino == os.stat("/proc/self/ns/net").st_ino:  # noqa: PTH116 - beside an fstat
        os.close(descriptor)
        raise errors.Retry(reasons.STEP_FAILED, f"The network of {shown} is the host's network, not a container's")
    return descriptor


def _documents(output: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Parse the two consecutive JSON documents that one batch prints."""
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
