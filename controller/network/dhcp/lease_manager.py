"""Keeps the leases of all interfaces: one client for each, what it was given on disk, and who must be looked at again.

A lease is remembered by what the runtime *is* (namespace, device id, interface), so that the address is the same after
a restart of the container, the controller or the host, and after deleting and creating the Runtime.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from controller import errors, files
from controller.api import reasons
from controller.boottime import now
from controller.network.dhcp import leases
from controller.network.dhcp.client import LeaseClient, Link
from controller.network.dhcp.leases import Lease
from controller.network.dhcp.machine import Client, Machine, Trouble

KEPT = 4096  # files of half a kilobyte; a box has 250 runtimes with eight interfaces at most
_REWRITE_SECONDS = 300.0  # a renewal that changes nothing but times is not written more often (SD cards)

log = logging.getLogger(__name__)


class LeaseKey(NamedTuple):
    """Whose lease: an interface of a runtime."""

    namespace: str
    device_id: str
    interface: str


class LeaseState(NamedTuple):
    """How a lease stands; its times are seconds since 1970.

    ``settled`` false: whether an address may be used is not known yet, and what stands on the link may stay.
    """

    lease: Lease | None = None
    trouble: Trouble | None = None
    settled: bool = False
    kept: bool = False  # a client keeps it now


NOT_KEPT = LeaseState()


class LeaseManager:
    """``directory`` holds a file for each lease; it is made at the first. Belongs to one event loop."""

    def __init__(
        self, directory: Path, wall: Callable[[], float] = time.time, chance: Callable[[], float] = random.random
    ) -> None:
        self._directory = directory
        self._wall = wall
        self._chance = chance
        self._clients: dict[LeaseKey, LeaseClient] = {}
        self._written: dict[LeaseKey, Lease] = {}
        self._changed: dict[LeaseKey, None] = {}
        self._wake = asyncio.Event()

    def lease_state(self, key: LeaseKey, link: Link | None) -> LeaseState:
        """How the lease of an interface stands; ``link`` is the one that it must be kept on."""
        client = self._clients.get(key)
        if client is None or not client.alive or client.link != link:
            return NOT_KEPT
        machine = client.machine
        lease = machine.lease.shifted(self._wall() - now()) if machine.lease else None
        return LeaseState(lease, machine.trouble, machine.settled, kept=True)

    async def keep(self, key: LeaseKey, link: Link, client: Client) -> None:
        """See that a client keeps the lease on this link; one that does already is left alone.

        Raises errors.Retry(STEP_FAILED) when the link is gone.
        """
        former = self._clients.get(key)
        if former is not None:
            if former.alive and former.link == link:
                return
            former.close()
        known = await self._remembered(key, former)
        made = LeaseClient(link, Machine(client, known, self._chance), lambda: self._mark(key))
        self._clients[key] = made
        try:
            await made.start()
        except OSError as error:
            message = f"No address can be asked for on {link.name}: {error.strerror}"
            raise errors.Retry(reasons.STEP_FAILED, message) from error

    def forget(self, namespace: str, device_id: str) -> None:
        """Ask no more for a runtime that is gone. What it had stays on disk, for one of the same identity."""
        for key in [key for key in self._clients if key[:2] == (namespace, device_id)]:
            self._clients.pop(key).close()

    async def changes(self) -> AsyncIterator[tuple[str, str]]:
        """Namespace and device id of every runtime with a lease that changed, for ever; on disk before it is told."""
        await asyncio.to_thread(self._prune)
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = list(self._changed), {}
            for key in changed:
                await self._write(key)
            for device in dict.fromkeys(key[:2] for key in changed):
                yield device

    def close(self) -> None:
        """Stop asking. Addresses stay where they are, and leases on disk."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _mark(self, key: LeaseKey) -> None:
        self._changed[key] = None
        self._wake.set()

    async def _remembered(self, key: LeaseKey, former: LeaseClient | None) -> Lease | None:
        """The lease of the run before, with the client's clock."""
        if former is not None and former.machine.lease is not None:
            return former.machine.lease
        document = await asyncio.to_thread(self._read, key)
        try:
            lease = leases.of_document(document["lease"]) if document else None
        except (KeyError, TypeError, ValueError):
            log.warning("The kept lease of %s cannot be read; it is asked for anew", key.interface)
            return None
        # A clock that was set back must not make a lease longer than it was given for.
        return _not_younger(lease.shifted(now() - self._wall()), now()) if lease else None

    async def _write(self, key: LeaseKey) -> None:
        client = self._clients.get(key)
        if client is None or client.machine.lease is None:
            return
        lease = client.machine.lease
        if (before := self._written.get(key)) and _hardly_differ(before, lease):
            return
        document = {"key": list(key), "lease": leases.to_document(lease.shifted(self._wall() - now()))}
        if await asyncio.to_thread(self._put, key, json.dumps(document).encode()):
            self._written[key] = lease

    def _path(self, key: LeaseKey) -> Path:
        return self._directory / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]}.json"

    def _put(self, key: LeaseKey, content: bytes) -> bool:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.write_secret(self._path(key), content)
        except OSError as error:
            log.warning(
                "A lease could not be kept on disk (%s); after a power cut another may be given", error.strerror
            )
            return False
        return True

    def _read(self, key: LeaseKey) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(self._path(key).read_text())
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def _prune(self) -> None:
        """Of more files than can be in use, remove those written least recently; an age may be a wrong clock's."""
        found = sorted(self._directory.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in found[:-KEPT]:
            path.unlink(missing_ok=True)


def _not_younger(lease: Lease, current: float) -> Lease:
    return lease if lease.renewed <= current else lease.shifted(current - lease.renewed)


def _hardly_differ(before: Lease, lease: Lease) -> bool:
    """Whether only times moved, and not by much."""
    return replace(before, renewed=lease.renewed) == lease and lease.renewed - before.renewed < _REWRITE_SECONDS
