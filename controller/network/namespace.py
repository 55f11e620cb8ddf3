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
from types import TracebackType
from typing import Any

from controller import errors
from controller.resources import reasons

_SECONDS = 10
_IP = ("ip", "-json", "-details", "-batch", "-")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

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
        """The link with this MAC address, or None."""
        return next((link for link in self.links if link.mac_address == mac_address.lower()), None)


class Namespace:
    """The network namespace of a process, held open; an async context manager.

    Raises errors.Retry(STEP_FAILED) when the process is gone or is one of the host's.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._descriptor = -1

    async def __aenter__(self) -> Namespace:
        self._descriptor = await asyncio.to_thread(_open, self._pid)
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

    @property
    def _path(self) -> str:
        return f"/proc/self/fd/{self._descriptor}"

    async def _ip(self, batch: str, *, inside: bool) -> str:
        enter = ["nsenter", f"--net={self._path}"] if inside else []
        try:
            process = await asyncio.create_subprocess_exec(
                *enter,
                *_IP,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(self._descriptor,),
                env={"PATH": _SYSTEM_PATH},
            )
        except FileNotFoundError as error:
            message = f"{error.filename} is not on this host: install iproute2 and util-linux"
            raise errors.Retry(reasons.STEP_FAILED, message) from error
        output, complaint = await _finished(process, batch)
        if process.returncode:
            raise errors.Retry(reasons.STEP_FAILED, f"ip said: {_one_line(complaint)}")
        return output.decode()


async def _finished(process: asyncio.subprocess.Process, batch: str) -> tuple[bytes, bytes]:
    """What it printed and complained of; it is killed when it takes too long or is not waited for any more."""
    try:
        return await asyncio.wait_for(process.communicate(batch.encode()), _SECONDS)
    except TimeoutError as error:
        raise errors.Retry(reasons.STEP_FAILED, f"ip did not end within {_SECONDS} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _open(pid: int) -> int:
    try:
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        message = f"The network of process {pid} cannot be entered: {error.strerror}"
        raise errors.Retry(reasons.STEP_FAILED, message) from error
    if os.fstat(descriptor).st_ino == os.stat("/proc/self/ns/net").st_ino:  # noqa: PTH116 - beside an fstat
        os.close(descriptor)
        raise errors.Retry(reasons.STEP_FAILED, f"Process {pid} is in the host's network, not in a container's")
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


def _one_line(text: bytes) -> str:
    return " ".join(text.decode(errors="replace").split())[:300] or "nothing, but it failed"
