"""Probes the addresses of runtimes on the LAN before use and guards them while in use (RFC 5227).

A conflict is reported and the address defended, but never given up: a running control program keeps its address, and a
person decides. Our own runtimes on the same parent are not heard here; see
backends/docker/networking/address_registry.py.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from functools import partial
from ipaddress import IPv4Address

from controller.machinery.controller import Controller
from controller.machinery.pending import PendingSet
from controller.network import interfaces
from controller.network.arp.listeners import Listeners
from controller.network.arp.packets import ArpClaim
from controller.network.arp.probe import GuardedAddress, Probe

# Shorter than in RFC 5227, which allows for any kind of link: on a wired LAN a reply takes a millisecond.
_PROBES, _PROBE_SECONDS, _LAST_PROBE_SECONDS = 3, 0.1, 0.15
_CHECK_SECONDS = 5.0
_SILENT_CHECKS = 3  # a machine that answers late or seldom must not end and begin its conflict again and again
# A host on the LAN could claim with a new MAC every time, and each report is a log line and a write to the disk.
_REPORT_SECONDS, _NAMED_RIVALS = 1.0, 2
_DEFEND_SECONDS = 10.0  # two defending hosts must not start an ARP storm (RFC 5227 section 2.4)

log = logging.getLogger(__name__)


class AddressGuard:
    """One per host; belongs to one event loop. If not ``enabled``, it neither listens nor sends."""

    def __init__(
        self,
        *,
        enabled: bool = True,
        check_seconds: float = _CHECK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._enabled = enabled
        self._clock = clock
        self._listeners = Listeners(self._on_claim)
        self._guarded: dict[tuple[str, str], frozenset[GuardedAddress]] = {}
        self._probes: set[Probe] = set()
        # Time and MAC of the last claim by another machine.
        self._answered: dict[GuardedAddress, tuple[float, bytes]] = {}
        self._conflicts: dict[GuardedAddress, tuple[bytes, ...]] = {}  # the machines reported
        self._silent_checks: dict[GuardedAddress, int] = {}  # since the last claim
        self._defended: dict[GuardedAddress, float] = {}
        self._reported_at: dict[GuardedAddress, float] = {}  # when ``_conflicts`` changed
        self._changed = PendingSet[tuple[str, str]]()
        self.controller = Controller("probe the addresses in conflict", self._check, period=check_seconds)

    def rival(self, own: GuardedAddress) -> str:
        """Return who else has the guarded address: "the machine MAC", or "several machines"; "" for nobody."""
        known = self._conflicts.get(own, ())
        if len(known) > _NAMED_RIVALS:
            return "several machines"
        return f"the machine {known[-1].hex(':')}" if known else ""

    def guard(self, namespace: str, device_id: str, addresses: Collection[GuardedAddress]) -> None:
        """Watch for other machines with a runtime's addresses; pass none for a runtime that does not run."""
        device, wanted = (namespace, device_id), frozenset(addresses)
        before = self._guarded.get(device, frozenset())
        # A parent that was away has lost its socket, so even unchanged addresses may have to be watched again.
        if not self._enabled or (
            wanted == before and all(self._listeners.is_listening(each.parent) for each in wanted)
        ):
            return
        self._guarded[device] = wanted
        if not wanted:
            del self._guarded[device]
        for lost in before - wanted:
            for known in (self._conflicts, self._answered, self._silent_checks, self._defended, self._reported_at):
                known.pop(lost, None)
        self._listen()

    async def probe(self, wanted: Collection[GuardedAddress]) -> dict[GuardedAddress, str]:
        """Return the addresses in use by another machine, with its MAC address. Takes a third of a second."""
        return await self.begin_probe(wanted).answers() if self._enabled and wanted else {}

    def begin_probe(self, wanted: Collection[GuardedAddress]) -> Probe:
        """Begin to ask the LAN for these addresses; the probe must be awaited or closed."""
        heard = partial(self._heard_since, self._clock(), wanted)
        probe = Probe(wanted, self._ask(wanted), heard, self._forget)
        self._probes.add(probe)
        self._listen()
        return probe

    def changes(self) -> AsyncIterator[tuple[str, str]]:
        """Yield namespace and device id of each runtime with an address whose conflict began or ended. Never ends."""
        return aiter(self._changed)

    def close(self) -> None:
        """Stop probing and listening."""
        for probe in list(self._probes):
            probe.close()
        self._guarded.clear()
        self._listen()

    @property
    def _all_guarded(self) -> set[GuardedAddress]:
        return {own for group in self._guarded.values() for own in group}

    @property
    def _probed(self) -> set[GuardedAddress]:
        return {own for probe in self._probes for own in probe.wanted} if self._enabled else set()

    async def _ask(self, wanted: Collection[GuardedAddress]) -> bool:
        """Send the questions and wait for the last answer; return whether each went out."""
        complete = True
        for number in range(_PROBES if self._enabled else 0):
            for own in wanted:
                complete = self._listeners.probe(own.parent, own.address) and complete
            await asyncio.sleep(_PROBE_SECONDS if number < _PROBES - 1 else _LAST_PROBE_SECONDS)
        return complete

    def _heard_since(self, began: float, wanted: Collection[GuardedAddress]) -> dict[GuardedAddress, str]:
        # An earlier claim may be that of a machine that has left.
        answers = {own: self._answered.get(own, (began - 1, b"")) for own in wanted}
        return {own: mac.hex(":") for own, (when, mac) in answers.items() if when >= began}

    def _forget(self, probe: Probe) -> None:
        self._probes.discard(probe)
        self._listen()

    async def _check(self) -> None:
        """Probe the addresses in conflict, so that the end of a conflict is noticed."""
        disputed = list(self._conflicts)
        if not disputed:
            return
        still = await self.probe(disputed)
        connected = await asyncio.to_thread(_connected, {own.parent for own in disputed})
        for own in disputed:
            # Silence says nothing while the parent has no carrier. The runtime may have given up the address meanwhile.
            if own in self._conflicts and own not in still and own.parent in connected:
                self._silent(own)

    def _silent(self, own: GuardedAddress) -> None:
        """Count a check without an answer, and end the conflict after several."""
        self._silent_checks[own] = self._silent_checks.get(own, 0) + 1
        if self._silent_checks[own] >= _SILENT_CHECKS:
            del self._conflicts[own]
            log.info("No other machine uses %s on %s any more", own.address, own.parent)
            self._report(own)

    def _listen(self) -> None:
        needed: dict[str, set[IPv4Address]] = {}
        for own in (*self._all_guarded, *self._probed):
            needed.setdefault(own.parent, set()).add(own.address)
        self._listeners.listen(needed)

    def _on_claim(self, parent: str, claim: ArpClaim) -> None:
        """Handle another machine's claim of an address; claims of our own runtimes are ignored."""
        guarded = self._all_guarded
        here = {own for own in (*guarded, *self._probed) if own.parent == parent}
        if claim.mac in {own.mac for own in here}:
            return
        for own in (own for own in here if own.address == claim.address):
            self._answered[own] = (self._clock(), claim.mac)
            if own in guarded:
                self._dispute(own, claim.mac)

    def _dispute(self, own: GuardedAddress, other: bytes) -> None:
        now = self._clock()
        self._silent_checks[own] = 0
        if self._is_news(own, other, now):
            self._conflicts[own] = (*self._conflicts.get(own, ()), other)
            self._reported_at[own] = now
            log.warning("Address conflict: %s on %s is also used by %s", own.address, own.parent, self.rival(own))
            self._report(own)
        if now - self._defended.get(own, float("-inf")) >= _DEFEND_SECONDS:
            self._defended[own] = now
            self._listeners.defend(own.parent, own.address, own.mac)

    def _is_news(self, own: GuardedAddress, other: bytes, now: float) -> bool:
        """Return whether to report this machine: a conflict has at most three reports, not all at once."""
        known = self._conflicts.get(own, ())
        if other in known or len(known) > _NAMED_RIVALS:
            return False
        return not known or now - self._reported_at[own] >= _REPORT_SECONDS

    def _report(self, own: GuardedAddress) -> None:
        for device in (device for device, group in self._guarded.items() if own in group):
            self._changed.add(device)


def _connected(parents: Collection[str]) -> set[str]:
    return {parent for parent in parents if interfaces.state(parent).carrier}
