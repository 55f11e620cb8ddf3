"""The addresses of our runtimes: probed on the LAN before they are taken, guarded while they are used (RFC 5227).

A conflict is told and defended against, never given way to: a running control program keeps its address, and a person
decides. Own runtimes on the same parent are not heard here; they are known (backends/docker/networking/address_registry.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from ipaddress import IPv4Address
from typing import NamedTuple

from controller.network.arp.listeners import Listeners
from controller.network.arp.packets import Heard

# Shorter than RFC 5227's, which are for any link there may be: on a wired LAN an answer takes a millisecond.
_PROBES, _PROBE_SECONDS, _LAST_PROBE_SECONDS = 3, 0.1, 0.15
_CHECK_SECONDS = 5.0
_NAME_SECONDS = 60.0  # before another machine is named: anyone on the LAN can claim with a new address each time
_DEFEND_SECONDS = 10.0  # two that defend must not storm (RFC 5227 section 2.4)

log = logging.getLogger(__name__)


class Held(NamedTuple):
    """An address on the LAN of a parent, and the hardware address of ours that has it or wants it."""

    parent: str
    address: IPv4Address
    mac: bytes


class AddressGuard:
    """One for a host; belongs to one event loop. With ``enabled`` false it hears and says nothing."""

    def __init__(
        self,
        *,
        enabled: bool = True,
        check_seconds: float = _CHECK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._enabled = enabled
        self._check_seconds = check_seconds
        self._clock = clock
        self._listeners = Listeners(self._heard)
        self._guarded: dict[tuple[str, str], frozenset[Held]] = {}
        self._probed: list[Held] = []
        self._answered: dict[Held, tuple[float, bytes]] = {}  # when and by whom somebody else claimed it last
        self._conflicts: dict[Held, bytes] = {}
        self._defended: dict[Held, float] = {}
        self._named: dict[Held, float] = {}  # when the machine in ``_conflicts`` was named
        self._changed: dict[tuple[str, str], None] = {}
        self._wake = asyncio.Event()

    def other(self, held: Held) -> str:
        """The hardware address of another machine that has a guarded address too, "" when there is none."""
        return self._conflicts.get(held, b"").hex(":")

    def guard(self, namespace: str, device_id: str, held: Collection[Held]) -> None:
        """Listen for others with the addresses that a runtime has; none when it does not run."""
        device, wanted = (namespace, device_id), frozenset(held)
        before = self._guarded.get(device, frozenset())
        if not self._enabled or (wanted == before and all(self._listeners.on(each.parent) for each in wanted)):
            return
        self._guarded[device] = wanted
        if not wanted:
            del self._guarded[device]
        for lost in before - wanted:
            self._conflicts.pop(lost, None)
            self._answered.pop(lost, None)
            self._defended.pop(lost, None)
            self._named.pop(lost, None)
        self._listen()

    async def probe(self, wanted: Collection[Held]) -> dict[Held, str]:
        """Which of the addresses somebody has, with the hardware address. Takes a third of a second."""
        if not self._enabled or not wanted:
            return {}
        began = self._clock()
        self._probed += wanted
        self._listen()
        try:
            for number in range(_PROBES):
                for held in wanted:
                    self._listeners.probe(held.parent, held.address)
                await asyncio.sleep(_PROBE_SECONDS if number < _PROBES - 1 else _LAST_PROBE_SECONDS)
        finally:
            for held in wanted:
                self._probed.remove(held)
            self._listen()
        answers = {held: self._answered.get(held, (began - 1, b"")) for held in wanted}
        return {held: mac.hex(":") for held, (when, mac) in answers.items() if when >= began}

    async def check(self) -> None:
        """Ask again for the addresses in conflict, for ever, so that the end of one is noticed."""
        while True:
            await asyncio.sleep(self._check_seconds)
            disputed = list(self._conflicts)
            still = await self.probe(disputed)
            for held in disputed:
                if held not in still and held in self._conflicts:
                    del self._conflicts[held]
                    log.info("%s on %s is nobody else's any more", held.address, held.parent)
                    self._report(held)

    async def changes(self) -> AsyncIterator[tuple[str, str]]:
        """Namespace and device id of each runtime with an address that came into conflict or out of it, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, {}
            for device in changed:
                yield device

    def close(self) -> None:
        """Hear no more."""
        self._guarded.clear()
        self._listen()

    @property
    def _all_guarded(self) -> set[Held]:
        return {held for group in self._guarded.values() for held in group}

    def _listen(self) -> None:
        needed: dict[str, set[IPv4Address]] = {}
        for held in (*self._all_guarded, *self._probed):
            needed.setdefault(held.parent, set()).add(held.address)
        self._listeners.listen(needed)

    def _heard(self, parent: str, claim: Heard) -> None:
        """Somebody says to have an address; our own runtimes may."""
        guarded = self._all_guarded
        here = {held for held in (*guarded, *self._probed) if held.parent == parent}
        if claim.mac in {held.mac for held in here}:
            return
        for held in (held for held in here if held.address == claim.address):
            self._answered[held] = (self._clock(), claim.mac)
            if held in guarded:
                self._dispute(held, claim.mac)

    def _dispute(self, held: Held, other: bytes) -> None:
        known, now = self._conflicts.get(held), self._clock()
        if known is None or (known != other and now - self._named[held] >= _NAME_SECONDS):
            self._conflicts[held], self._named[held] = other, now
            log.warning("%s on %s is also %s", held.address, held.parent, other.hex(":"))
            self._report(held)
        if now - self._defended.get(held, float("-inf")) >= _DEFEND_SECONDS:
            self._defended[held] = now
            self._listeners.defend(held.parent, held.address, held.mac)

    def _report(self, held: Held) -> None:
        self._changed |= dict.fromkeys(device for device, group in self._guarded.items() if held in group)
        self._wake.set()
