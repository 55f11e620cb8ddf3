"""Passes host interfaces through to containers: moves them into a container's namespace and restores them afterwards.

An interface's configuration is written to disk before the interface is moved, and the namespace stays mounted while a
host interface is in it. So neither a crash of the container nor one of the controller loses the interface: virtual
links are destroyed with their namespace, and physical ones return without their configuration. The host's own network
configuration is not touched.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, ip_interface
from pathlib import Path
from typing import Any

from controller import errors, files
from controller.api import reasons
from controller.boottime import BOOT_ID
from controller.container_root import Process
from controller.network import commands, host_links, interfaces, link_plan
from controller.network.address_changes import RestoreAddress
from controller.network.interfaces import HostInterface
from controller.network.link_changes import Change, Rename, SetMtu, SetState
from controller.network.netns import Namespace
from controller.network.snapshot import Link

_SUFFIX, _LONGEST_NAME = "-nic", 11  # IFNAMSIZ is 16, with a null byte
_RETURN_ATTEMPTS, _RETURN_SECONDS = 10, 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Passthrough:
    """An interface in passthrough with its configuration on the host: ``addresses`` as (address/prefix, broadcast)."""

    name: str
    owner: tuple[str, str]
    mac_address: str
    kind: str
    up: bool
    mtu: int
    addresses: tuple[tuple[str, str], ...]
    boot: str


class InterfacePassthrough:
    """``directory`` holds a record and a mount for each interface and is created on first use.

    ``owner`` is namespace and device id. A lock serialises all moves.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._one_at_a_time = asyncio.Lock()

    async def passthroughs(self) -> dict[str, Passthrough]:
        """Return all passthroughs of this host, by interface name."""
        return await asyncio.to_thread(self._read_all)

    async def interfaces(self) -> list[HostInterface]:
        """Return the interfaces that the host lacks while they are in a container, without addresses."""
        return [
            HostInterface(passthrough.name, passthrough.kind, passthrough.up, passthrough.mac_address)
            for passthrough in (await self.passthroughs()).values()
        ]

    async def move_in(self, name: str, owner: tuple[str, str], process: Process) -> None:
        """Move the interface into the namespace of the container's first process and set it up under its own name.

        If the engine uses that name for one of its links, the name is NAME-nic. Does nothing for an interface that is
        already there. Raises errors.Retry(STEP_FAILED).
        """
        async with self._one_at_a_time:
            passthrough = (await self.passthroughs()).get(name)
            if passthrough is None or not await _in_place(passthrough, process):
                # A record without the interface: a previous run's namespace holds it, or a crash came before the move.
                if passthrough:
                    await self._return_to_host(passthrough)
                passthrough = await _read_configuration(name, owner)
                await self._mount_namespace(passthrough, process)
                async with Namespace(process) as namespace:
                    await namespace.move_in(name, _temporary(passthrough))
                log.info("Moved the interface %s into %s", name, owner[1])
            # Also for an interface that is in place: a crash may have come between the move and the rename.
            async with Namespace(process) as namespace:
                await _settle(namespace, passthrough)

    async def in_place(self, name: str, process: Process) -> bool:
        """Return whether the interface is in the container, up and under its final name."""
        passthrough = (await self.passthroughs()).get(name)
        return passthrough is not None and await _in_place(passthrough, process, settled=True)

    async def return_to_host(self, owner: tuple[str, str], *, excluding: str | None = None) -> None:
        """Return an owner's interfaces to the host, except ``excluding``. Raises errors.Retry(STEP_FAILED)."""
        async with self._one_at_a_time:
            for passthrough in (await self.passthroughs()).values():
                if passthrough.owner == owner and passthrough.name != excluding:
                    await self._return_to_host(passthrough)

    async def recover(self, owner: tuple[str, str], process: Process) -> None:
        """Keep the process's namespace mounted while an owner's interfaces are in it, and return all other interfaces.

        Our mounts vanish when the service had a mount namespace of its own and was restarted. Process id 0 means that
        no container runs.
        """
        async with self._one_at_a_time:
            for passthrough in (await self.passthroughs()).values():
                if passthrough.owner != owner:
                    continue
                if not process.pid or not await _in_place(passthrough, process):
                    await self._return_to_host(passthrough)
                elif not await asyncio.to_thread(_is_held, self._mount(passthrough.name), process):
                    await self._mount_namespace(passthrough, process)

    async def _return_to_host(self, passthrough: Passthrough) -> None:
        """Return the interface in steps that can be interrupted and repeated: the record is removed last."""
        if await asyncio.to_thread(self._is_mounted, passthrough.name):
            await self._move_out(passthrough)
        if await _is_on_host(passthrough.name) and await _restore(passthrough):
            log.info("Returned the interface %s to the host", passthrough.name)
        else:
            log.warning("Cannot return the interface %s to the host: it no longer exists", passthrough.name)
        await self._release(passthrough)

    async def _move_out(self, passthrough: Passthrough) -> None:
        """Move the interface to the host; an interface unplugged in the meantime is not an error."""
        async with Namespace(self._mount(passthrough.name)) as namespace:
            if link := _find((await namespace.snapshot()).links, passthrough):
                try:
                    await namespace.move_out(link.name, passthrough.name)
                except errors.Retry:
                    if _find((await namespace.snapshot()).links, passthrough):
                        raise

    async def _mount_namespace(self, passthrough: Passthrough, process: Process) -> None:
        """Mount the namespace and record the interface's configuration."""
        await asyncio.to_thread(self._write, passthrough)
        await commands.run(["mount", "--bind", f"/proc/{process.pid}/ns/net", str(self._mount(passthrough.name))])
        # The mount goes by path, and the pid may be another process's by now: verify what was mounted.
        if not await asyncio.to_thread(_is_held, self._mount(passthrough.name), process):
            await commands.run(["umount", str(self._mount(passthrough.name))])
            raise errors.Retry(reasons.STEP_FAILED, "The container exited in the meantime; the step is retried")

    async def _release(self, passthrough: Passthrough) -> None:
        if await asyncio.to_thread(self._is_mounted, passthrough.name):
            await commands.run(["umount", str(self._mount(passthrough.name))])
        await asyncio.to_thread(self._mount(passthrough.name).unlink, missing_ok=True)
        await asyncio.to_thread(self._record(passthrough.name).unlink, missing_ok=True)

    def _is_mounted(self, name: str) -> bool:
        """Return whether a namespace is mounted there: its file system differs from the directory's."""
        mount = self._mount(name)
        return mount.exists() and mount.stat().st_dev != self._directory.stat().st_dev

    def _mount(self, name: str) -> Path:
        return self._directory / f"{name}.namespace"

    def _record(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def _write(self, passthrough: Passthrough) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A bind mount needs an existing file as its target.
        self._mount(passthrough.name).touch(mode=0o600)
        files.write_secret(self._record(passthrough.name), json.dumps(asdict(passthrough)).encode())

    def _read_all(self) -> dict[str, Passthrough]:
        found = [_passthrough(path) for path in self._directory.glob("*.json")] if self._directory.is_dir() else []
        boot = BOOT_ID.read_text().strip()
        # A reboot returned every interface, and the host has configured it itself.
        return {passthrough.name: passthrough for passthrough in found if passthrough and passthrough.boot == boot}


def _passthrough(path: Path) -> Passthrough | None:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        document["owner"] = tuple(document["owner"])
        document["addresses"] = tuple(map(tuple, document["addresses"]))
        return Passthrough(**document)
    except (OSError, ValueError, KeyError, TypeError):
        # An unreadable record must not prevent the return of the other interfaces.
        log.warning("Cannot read the passthrough record %s", path.name)
        return None


def _is_held(mount: Path, process: Process) -> bool:
    try:
        with process.opened() as held:
            return mount.stat().st_ino == os.stat("ns/net", dir_fd=held).st_ino
    except OSError:
        return False


async def _is_on_host(name: str) -> bool:
    """Wait briefly for the interface: the kernel destroys an unmounted namespace some time after its last process."""
    for _ in range(_RETURN_ATTEMPTS):
        if interfaces.index(name):
            return True
        await asyncio.sleep(_RETURN_SECONDS)
    return False


async def _read_configuration(name: str, owner: tuple[str, str]) -> Passthrough:
    """Read the interface's configuration on the host."""
    if not interfaces.index(name):
        raise errors.Waiting(reasons.PARENT_MISSING, f"The host has no interface {name} now: plug it in")
    found = await host_links.configuration(name)
    return Passthrough(
        name=name,
        owner=owner,
        mac_address=found.mac_address,
        kind=await asyncio.to_thread(interfaces.kind_of, name),
        up=found.up,
        mtu=found.mtu,
        addresses=found.addresses,
        boot=(await asyncio.to_thread(BOOT_ID.read_text)).strip(),
    )


async def _restore(passthrough: Passthrough) -> bool:
    """Restore the interface's configuration; return whether the interface still existed."""
    name = passthrough.name
    changes: list[Change] = [SetMtu(name, passthrough.mtu), SetState(name, up=passthrough.up)]
    for address, broadcast in passthrough.addresses:
        changes.append(RestoreAddress(name, ip_interface(address), IPv4Address(broadcast) if broadcast else None))
    try:
        await host_links.apply(changes)
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
    """Set the interface's name and state inside the container.

    A name that the engine gave to one of its links stays with that link: the engine looks its links up by name when
    the container ends, and removes them.
    """
    links = (await namespace.snapshot()).links
    link = _find(links, passthrough)
    if link is None:
        return
    if link.name == _temporary(passthrough):
        # An altname occupies a name as well: the kernel refuses to give it to another link.
        taken = {name for other in links for name in (other.name, *other.alternative_names)}
        name = passthrough.name if passthrough.name not in taken else f"{passthrough.name[:_LONGEST_NAME]}{_SUFFIX}"
        await namespace.apply([Rename(link.name, name), SetState(name, up=True)])
    elif not link.up:
        await namespace.apply([SetState(link.name, up=True)])


def _find(links: Sequence[Link], passthrough: Passthrough) -> Link | None:
    # A spec can give one of our macvlan links the MAC address of the NIC.
    return next(
        (link for link in links if link.mac_address == passthrough.mac_address and link.kind != "macvlan"), None
    )


def _temporary(passthrough: Passthrough) -> str:
    return link_plan.temporary_name(passthrough.mac_address)
