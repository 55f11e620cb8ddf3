"""Manages the leases of all interfaces: runs a client for each, stores its lease on disk and reports changes.

A lease is stored under the runtime's identity (namespace, device id, interface), so that the address survives a restart
of the container, the controller or the host, and deleting and recreating the Runtime.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

from controller import errors, files
from controller.api import reasons
from controller.boottime import now
from controller.machinery.pending import PendingSet
from controller.network.dhcp import leases
from controller.network.dhcp.client import LeaseClient, Link
from controller.network.dhcp.leases import Lease
from controller.network.dhcp.machine import Declined, LeaseProblem, Machine
from controller.network.dhcp.requests import Client

KEPT = 4096  # files of half a kilobyte; a node has at most 250 runtimes with eight interfaces
# The file of a lease that is only renewed is written no more often, to spare SD cards. Its earlier expiry matters only
# after a power cut, while no server answers: then the address is requested as well, but not used any more.
_REWRITE_SECONDS = 6 * 3600.0
# Unless the clock was set by more than this since: then the file would name a later end than the true one, or a much
# earlier one. Below it are the corrections of a clock that merely drifts.
_CLOCK_SECONDS = 60.0

log = logging.getLogger(__name__)


class LeaseKey(NamedTuple):
    """The owner of a lease: an interface of a runtime."""

    namespace: str
    device_id: str
    interface: str


class LeaseState(NamedTuple):
    """The state of a lease; its times are seconds since 1970.

    If not ``settled``, it is not known yet which address may be used, and the present one may stay on the link.
    """

    lease: Lease | None = None
    problem: LeaseProblem | None = None
    settled: bool = False
    kept: bool = False  # a client is running
    declined: Declined | None = None  # while the problem is TAKEN


NOT_KEPT = LeaseState()


class _Written(NamedTuple):
    """A lease on disk, and the time of day at the zero of its clock when it was written."""

    lease: Lease
    epoch: float


class LeaseManager:
    """``directory`` holds a file for each lease and is created on first use. Belongs to one event loop.

    With ``checks``, each address is probed on the LAN before it is used.
    """

    def __init__(
        self,
        directory: Path,
        wall: Callable[[], float] = time.time,
        random_number: Callable[[], float] = random.random,
        *,
        checks: bool = True,
    ) -> None:
        self._checks = checks
        self._directory = directory
        self._wall = wall
        self._random_number = random_number
        self._clients: dict[LeaseKey, LeaseClient] = {}
        self._written: dict[LeaseKey, _Written] = {}
        self._changed = PendingSet[LeaseKey]()

    def lease_state(self, key: LeaseKey, link: Link | None) -> LeaseState:
        """Return the state of an interface's lease; ``link`` is the link that its client must run on."""
        client = self._clients.get(key)
        if client is None or not client.alive or client.link != link:
            return NOT_KEPT
        machine = client.machine
        lease = machine.lease.shifted(self._epoch()) if machine.lease else None
        return LeaseState(lease, machine.problem, machine.settled, kept=True, declined=machine.declined)

    async def keep(self, key: LeaseKey, link: Link, client: Client) -> None:
        """Ensure that a client runs on this link; one that already does is left alone.

        Raises errors.Retry(STEP_FAILED) when the link is gone.
        """
        former = self._clients.get(key)
        if former is not None:
            if former.alive and former.link == link:
                return
            # Its socket keeps the namespace of the previous run, and with it the MAC address on the parent.
            former.close()
        known = await self._remembered(key, former)
        made = LeaseClient(
            link,
            Machine(client, known, self._random_number, checks=self._checks),
            changed=lambda: self._changed.add(key),
            renewed=lambda: self._on_renewal(key),
        )
        # Registered before it starts, so that forget() and close() reach a client whose socket is being opened.
        self._clients[key] = made
        try:
            await made.start()
        except OSError as error:
            message = f"Cannot request an address on {link.name}: {error.strerror}"
            raise errors.Retry(reasons.STEP_FAILED, message) from error

    def forget(self, namespace: str, device_id: str) -> None:
        """Stop the clients of a deleted runtime. Its leases stay on disk for a new runtime of the same identity."""
        for key in [key for key in self._clients if key[:2] == (namespace, device_id)]:
            self._clients.pop(key).close()
            self._written.pop(key, None)

    async def changes(self) -> AsyncIterator[tuple[str, str]]:
        """Yield namespace and device id of each runtime whose lease changed, after storing the lease. Never ends."""
        await asyncio.to_thread(self._prune)
        async for key in self._changed:
            await self._write(key)
            yield key[:2]

    def close(self) -> None:
        """Stop all clients. Addresses stay on their links, and leases on disk."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    async def _remembered(self, key: LeaseKey, former: LeaseClient | None) -> Lease | None:
        """Return the lease of the previous run, in the client's clock."""
        # Memory before disk: the disk may have been full, and its times are those of a clock that can be set.
        if former is not None and former.machine.lease is not None:
            return former.machine.lease
        document = await asyncio.to_thread(self._read, key)
        try:
            lease = leases.from_document(document["lease"]) if document else None
        except (KeyError, TypeError, ValueError):
            log.warning("Cannot read the stored lease of %s; requesting a new one", key.interface)
            return None
        # A clock that was set back must not extend a lease beyond its duration.
        return _not_in_future(lease.shifted(-self._epoch()), now()) if lease else None

    def _on_renewal(self, key: LeaseKey) -> None:
        """Store the lease if that is due; for the runtime nothing has changed."""
        if self._unwritten(key):
            self._changed.add(key)

    def _unwritten(self, key: LeaseKey) -> Lease | None:
        """Return the lease if it must be written."""
        client, written = self._clients.get(key), self._written.get(key)
        lease = client.machine.lease if client else None
        return None if lease is None or (written and _suffices(written, lease, self._epoch())) else lease

    async def _write(self, key: LeaseKey) -> None:
        lease = self._unwritten(key)
        if lease is None:
            return
        written = _Written(lease, self._epoch())
        document = {"key": list(key), "lease": leases.to_document(lease.shifted(written.epoch))}
        # Not for a runtime that was forgotten meanwhile: nothing would drop it.
        if await asyncio.to_thread(self._put, key, json.dumps(document).encode()) and key in self._clients:
            self._written[key] = written

    def _epoch(self) -> float:
        return self._wall() - now()

    def _path(self, key: LeaseKey) -> Path:
        # A hash, because no part of a key may lead out of the directory.
        return self._directory / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]}.json"

    def _put(self, key: LeaseKey, content: bytes) -> bool:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.write_secret(self._path(key), content)
        except OSError as error:
            # The address works without the file; a failed write must not end the stream of changes.
            log.warning("Cannot store a lease (%s): the address may change after a power cut", error.strerror)
            return False
        return True

    def _read(self, key: LeaseKey) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(self._path(key).read_text())
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def _prune(self) -> None:
        """Remove the least recently written files beyond the limit; their age may come from a wrong clock."""
        found = sorted(self._directory.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in found[:-KEPT]:
            path.unlink(missing_ok=True)


def _not_in_future(lease: Lease, current: float) -> Lease:
    return lease if lease.renewed <= current else lease.shifted(current - lease.renewed)


def _suffices(written: _Written, lease: Lease, epoch: float) -> bool:
    """Return whether the lease on disk may stay there: it must never end after the present one."""
    before = written.lease
    recent = lease.renewed - before.renewed < _REWRITE_SECONDS and abs(epoch - written.epoch) < _CLOCK_SECONDS
    return lease.renews(before) and lease.expires >= before.expires and recent
