"""Host interfaces lent to containers: moved into the namespace of one, and given back as they were.

What an interface was like is on disk before it is moved, and the namespace is mounted as long as an interface of the
host is in it: neither a crash of the container nor one of ours loses it (virtual links die with their namespace, and
physical ones come back bare). The host's own network configuration is not touched.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from controller import errors, files
from controller.api import reasons
from controller.boottime import BOOT_ID
from controller.container_root import Process
from controller.network import commands, interfaces, link_plan
from controller.network.interfaces import HostInterface
from controller.network.link_plan import WantedLink
from controller.network.netns import Link, Namespace

_SUFFIX, _LONGEST_NAME = "-nic", 11  # IFNAMSIZ is 16, with a null byte
_RETURN_ATTEMPTS, _RETURN_SECONDS = 10, 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Passthrough:
    """An interface that is lent, and what it was on the host: ``addresses`` as (address/prefix, broadcast)."""

    name: str
    owner: tuple[str, str]
    mac_address: str
    kind: str
    up: bool
    mtu: int
    addresses: tuple[tuple[str, str], ...]
    boot: str


class InterfacePassthrough:
    """``directory`` holds a record and a mount for each interface; it is made at the first. ``owner`` is namespace and
    device id. One task at a time lends and takes back.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._one_at_a_time = asyncio.Lock()

    async def passthroughs(self) -> dict[str, Passthrough]:
        """All of this host, by the name of the interface."""
        return await asyncio.to_thread(self._read_all)

    async def interfaces(self) -> list[HostInterface]:
        """What the host lacks as long as it is lent, without its addresses."""
        return [
            HostInterface(passthrough.name, passthrough.kind, passthrough.up, passthrough.mac_address)
            for passthrough in (await self.passthroughs()).values()
        ]

    async def move_in(self, name: str, owner: tuple[str, str], process: Process) -> None:
        """Move the interface into the namespace of the container's first process, up, under its own name.

        Where the engine has that name for a link of its own it is NAME-nic. One that is there already stays. Raises
        errors.Retry(STEP_FAILED).
        """
        async with self._one_at_a_time:
            passthrough = (await self.passthroughs()).get(name)
            if passthrough is None or not await _in_place(passthrough, process):
                if passthrough:
                    await self._take_back(passthrough)
                passthrough = await _described(name, owner)
                await self._hold(passthrough, process)
                async with Namespace(process) as namespace:
                    await namespace.take_in(name, _temporary(passthrough))
                log.info("lent %s to %s", name, owner[1])
            async with Namespace(process) as namespace:
                await _settle(namespace, passthrough)

    async def in_place(self, name: str, process: Process) -> bool:
        """Whether the interface is in the container, up and named."""
        passthrough = (await self.passthroughs()).get(name)
        return passthrough is not None and await _in_place(passthrough, process, settled=True)

    async def take_back(self, owner: tuple[str, str], *, but: str | None = None) -> None:
        """Give the host back what an owner has, except one interface. Raises errors.Retry(STEP_FAILED)."""
        async with self._one_at_a_time:
            for passthrough in (await self.passthroughs()).values():
                if passthrough.owner == owner and passthrough.name != but:
                    await self._take_back(passthrough)

    async def catch_up(self, owner: tuple[str, str], process: Process) -> None:
        """Hold the process's namespace as long as an owner's interfaces are in it, and give back what is not there.

        A mount of ours is gone with a service that had its own; number 0: no container runs.
        """
        async with self._one_at_a_time:
            for passthrough in (await self.passthroughs()).values():
                if passthrough.owner != owner:
                    continue
                if not process.pid or not await _in_place(passthrough, process):
                    await self._take_back(passthrough)
                elif not await asyncio.to_thread(_is_held, self._mount(passthrough.name), process):
                    await self._hold(passthrough, process)

    async def _take_back(self, passthrough: Passthrough) -> None:
        """In steps that can be broken off and repeated: the record goes last."""
        if await asyncio.to_thread(self._is_mounted, passthrough.name):
            await self._bring_out(passthrough)
        if await _is_on_host(passthrough.name) and await _restored(passthrough):
            log.info("gave %s back to the host", passthrough.name)
        else:
            log.warning("%s is gone and cannot be given back", passthrough.name)
        await self._let_go(passthrough)

    async def _bring_out(self, passthrough: Passthrough) -> None:
        """Move it to the host; one that was pulled meanwhile is nowhere, and that is no fault."""
        async with Namespace(self._mount(passthrough.name)) as namespace:
            if link := _find((await namespace.snapshot()).links, passthrough):
                try:
                    await namespace.hand_out(link.name, passthrough.name)
                except errors.Retry:
                    if _find((await namespace.snapshot()).links, passthrough):
                        raise

    async def _hold(self, passthrough: Passthrough, process: Process) -> None:
        """Keep the namespace, and what the interface was like."""
        await asyncio.to_thread(self._write, passthrough)
        await commands.run(["mount", "--bind", f"/proc/{process.pid}/ns/net", str(self._mount(passthrough.name))])
        if not await asyncio.to_thread(_is_held, self._mount(passthrough.name), process):
            await commands.run(["umount", str(self._mount(passthrough.name))])
            raise errors.Retry(reasons.STEP_FAILED, "The container ended meanwhile; it is tried again")

    async def _let_go(self, passthrough: Passthrough) -> None:
        if await asyncio.to_thread(self._is_mounted, passthrough.name):
            await commands.run(["umount", str(self._mount(passthrough.name))])
        await asyncio.to_thread(self._mount(passthrough.name).unlink, missing_ok=True)
        await asyncio.to_thread(self._record(passthrough.name).unlink, missing_ok=True)

    def _is_mounted(self, name: str) -> bool:
        """Whether a namespace is mounted there: its file system is another one than the directory's."""
        mount = self._mount(name)
        return mount.exists() and mount.stat().st_dev != self._directory.stat().st_dev

    def _mount(self, name: str) -> Path:
        return self._directory / f"{name}.namespace"

    def _record(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def _write(self, passthrough: Passthrough) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._mount(passthrough.name).touch(mode=0o600)
        files.write_secret(self._record(passthrough.name), json.dumps(asdict(passthrough)).encode())

    def _read_all(self) -> dict[str, Passthrough]:
        found = [_passthrough(path) for path in self._directory.glob("*.json")] if self._directory.is_dir() else []
        boot = BOOT_ID.read_text().strip()
        # What was lent before the host was started is long back, and configured by the host itself.
        return {passthrough.name: passthrough for passthrough in found if passthrough and passthrough.boot == boot}


def _passthrough(path: Path) -> Passthrough | None:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        document["owner"] = tuple(document["owner"])
        document["addresses"] = tuple(map(tuple, document["addresses"]))
        return Passthrough(**document)
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("The record %s cannot be read", path.name)
        return None


def _is_held(mount: Path, process: Process) -> bool:
    try:
        with process.opened() as held:
            return mount.stat().st_ino == os.stat("ns/net", dir_fd=held).st_ino
    except OSError:
        return False


async def _is_on_host(name: str) -> bool:
    """Whether it is there, or comes in a moment: a namespace that was not held is taken down by the kernel some time
    after its last process.
    """
    for _ in range(_RETURN_ATTEMPTS):
        if interfaces.index(name):
            return True
        await asyncio.sleep(_RETURN_SECONDS)
    return False


async def _described(name: str, owner: tuple[str, str]) -> Passthrough:
    """What the interface is like on the host."""
    if not interfaces.index(name):
        raise errors.Waiting(reasons.PARENT_MISSING, f"The host has no interface {name} now: plug it in")
    (entry,) = json.loads(await commands.run(["ip", "-json", "address", "show", "dev", name]))
    given = [info for info in entry.get("addr_info", ()) if info.get("scope") != "link"]
    return Passthrough(
        name=name,
        owner=owner,
        mac_address=entry["address"].lower(),
        kind=await asyncio.to_thread(interfaces.kind_of, name),
        up="UP" in entry["flags"],
        mtu=int(entry["mtu"]),
        addresses=tuple((f"{info['local']}/{info['prefixlen']}", info.get("broadcast", "")) for info in given),
        boot=(await asyncio.to_thread(BOOT_ID.read_text)).strip(),
    )


async def _restored(passthrough: Passthrough) -> bool:
    """Make it what it was; whether it was still there."""
    lines = [
        f"link set dev {passthrough.name} mtu {passthrough.mtu}",
        f"link set dev {passthrough.name} {'up' if passthrough.up else 'down'}",
    ]
    for address, broadcast in passthrough.addresses:
        detail = f" broadcast {broadcast}" if broadcast else ""
        lines.append(f"address replace {address}{detail} dev {passthrough.name}")
    try:
        await commands.run(["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines))
    except errors.Retry:
        if interfaces.index(passthrough.name):
            raise
        return False
    return True


async def _in_place(passthrough: Passthrough, process: Process, *, settled: bool = False) -> bool:
    async with Namespace(process) as namespace:
        link = _find((await namespace.snapshot()).links, passthrough)
    return link is not None and (not settled or (link.up and link.name != _temporary(passthrough)))


async def _settle(namespace: Namespace, passthrough: Passthrough) -> None:
    """Its name and state inside.

    A name that the engine gave stays its own: it looks its links up by name when the container ends, and removes them.
    """
    links = (await namespace.snapshot()).links
    link = _find(links, passthrough)
    if link is None:
        return
    if link.name == _temporary(passthrough):
        taken = {name for other in links for name in (other.name, *other.alternative_names)}
        name = passthrough.name if passthrough.name not in taken else f"{passthrough.name[:_LONGEST_NAME]}{_SUFFIX}"
        await namespace.apply([("link", "set", "dev", link.name, "name", name), ("link", "set", "dev", name, "up")])
    elif not link.up:
        await namespace.apply([("link", "set", "dev", link.name, "up")])


def _find(links: Sequence[Link], passthrough: Passthrough) -> Link | None:
    return next(
        (link for link in links if link.mac_address == passthrough.mac_address and link.kind != "macvlan"), None
    )


def _temporary(passthrough: Passthrough) -> str:
    return link_plan.temporary_name(WantedLink(passthrough.name, passthrough.name, 0, passthrough.mac_address))
