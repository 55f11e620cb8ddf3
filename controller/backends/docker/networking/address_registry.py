"""Detects address conflicts: records the observed addresses of our runtimes, and asks the LAN who else has them.

The engine detects a conflict only between addresses that it assigned itself; it knows neither interfaces that we create
in a namespace nor the rest of the LAN. Kept in memory only: each start of the controller observes every runtime.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from controller import errors
from controller.api import reasons
from controller.backends.base import Identity
from controller.backends.observation import ObservedInterface
from controller.network import addresses
from controller.network.arp.guard import AddressGuard
from controller.network.arp.probe import GuardedAddress, Probe
from controller.network.desired_interface import DesiredInterface

_NAMESAKE = "A Runtime of namespace {} requested the container {} first: change the deviceId of one of the two"


class AddressRegistry:
    """Addresses by runtime; ``guard`` detects other machines on the LAN."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._held: dict[Identity, frozenset[GuardedAddress]] = {}
        self._claims: dict[tuple[str, str], Identity] = {}
        self._probes: dict[Identity, Probe] = {}

    def note(self, identity: Identity, interfaces: Iterable[ObservedInterface]) -> None:
        """Record the observed interfaces of a runtime; none when it does not run."""
        held = frozenset(_held(found) for found in interfaces if found.address and found.mac_address)
        if held:
            self._held[identity] = held
        else:
            self._held.pop(identity, None)
        # Overrides an earlier claim: who has the address on the LAN keeps it.
        self._claims |= {(each.parent, str(each.address)): identity for each in held}
        self._guard.guard(identity.namespace, identity.device_id, held)

    def claim(self, identity: Identity, desired_interfaces: Sequence[DesiredInterface]) -> None:
        """Claim the addresses of a runtime that should run; the first of two claims wins."""
        wanted = {_place(desired) for desired in desired_interfaces if desired.interface.address}
        self._claims = {
            place: holder for place, holder in self._claims.items() if holder != identity or place in wanted
        }
        for place in wanted:
            self._claims.setdefault(place, identity)

    def claimed(self, identity: Identity, desired_interfaces: Sequence[DesiredInterface]) -> tuple[str, str] | None:
        """Reason and message that block a start, when another runtime of ours uses or first claimed an address.

        If both have the same container name, that is the cause, so report it instead.
        """
        for desired in desired_interfaces:
            holder = self._claims.get(_place(desired), identity)
            if holder == identity:
                continue
            if holder.device_id == identity.device_id:
                return reasons.NAME_TAKEN, _NAMESAKE.format(*holder[1:])
            return reasons.ADDRESS_CONFLICT, _taken(holder.device_id, *_place(desired))
        return None

    def with_conflict(self, found: ObservedInterface) -> ObservedInterface:
        """The observed interface, with a fault when another machine uses the same address."""
        other = self._guard.rival(_held(found)) if found.address and found.mac_address else ""
        if not other or not found.in_order:
            return found
        use = f"{found.address} on {found.parent_interface} is also used by {other}"
        detail = f"{use}: disconnect what should not have it or set another address"
        return replace(found, in_order=False, detail=detail, awaits=reasons.ADDRESS_CONFLICT)

    def require_free(self, identity: Identity, desired_interfaces: Sequence[DesiredInterface]) -> None:
        """Raise errors.Waiting(ADDRESS_CONFLICT) when another runtime of ours uses a desired address."""
        for desired in desired_interfaces:
            wanted = _place(desired)
            holders = (
                other.device_id for other, held in self._held.items() if other != identity and _has(held, wanted)
            )
            if holder := next(holders, ""):
                raise errors.Waiting(reasons.ADDRESS_CONFLICT, _taken(holder, *wanted))

    def expect(self, identity: Identity, desired_interfaces: Sequence[DesiredInterface]) -> None:
        """Begin the probe that the coming start will wait for, unless one has begun."""
        begun, wanted = self._probes.get(identity), self._to_probe(identity, desired_interfaces)
        if begun is not None and wanted and begun.covers(wanted):
            return
        self._drop_probe(identity)
        if wanted:
            self._probes[identity] = self._guard.begin_probe(wanted)

    def forget(self, identity: Identity) -> None:
        """Release the addresses of a removed runtime."""
        self.note(identity, ())
        self.claim(identity, ())
        self._drop_probe(identity)

    async def require_unclaimed(self, identity: Identity, desired_interfaces: Sequence[DesiredInterface]) -> None:
        """Raise errors.Waiting(ADDRESS_CONFLICT) when anybody uses an address that the runtime is about to take.

        Does not probe addresses that it uses already.
        """
        self.require_free(identity, desired_interfaces)
        answers = await self._answers(identity, self._to_probe(identity, desired_interfaces))
        for held, other in answers.items():
            raise errors.Waiting(reasons.ADDRESS_CONFLICT, _taken(other, held.parent, str(held.address)))

    async def _answers(self, identity: Identity, wanted: Collection[GuardedAddress]) -> dict[GuardedAddress, str]:
        """The addresses in use by other machines: from the probe that was begun for this start, else from a new one."""
        begun = self._probes.get(identity)
        if begun is not None and begun.covers(wanted):
            del self._probes[identity]
            answers = await begun.answers()
            # A VLAN that was created meanwhile, or a parent that was down, has not been asked.
            if answers or begun.complete:
                return {held: other for held, other in answers.items() if held in wanted}
        self._drop_probe(identity)
        return await self._guard.probe(wanted)

    def _to_probe(self, identity: Identity, desired_interfaces: Sequence[DesiredInterface]) -> list[GuardedAddress]:
        wanted = dict.fromkeys(_wanted(desired) for desired in desired_interfaces if desired.interface.address)
        return [address for address in wanted if address not in self._held.get(identity, ())]

    def _drop_probe(self, identity: Identity) -> None:
        if probe := self._probes.pop(identity, None):
            probe.close()


def _taken(holder: str, parent: str, address: str) -> str:
    return f"{holder} has the address {address} on {parent}: free it or set another one"


def _place(desired: DesiredInterface) -> tuple[str, str]:
    return desired.parent, desired.interface.address or ""


def _has(held: Iterable[GuardedAddress], wanted: tuple[str, str]) -> bool:
    return any((each.parent, str(each.address)) == wanted for each in held)


def _held(found: ObservedInterface) -> GuardedAddress:
    return GuardedAddress(found.parent_interface, IPv4Address(found.address), addresses.mac_bytes(found.mac_address))


def _wanted(desired: DesiredInterface) -> GuardedAddress:
    address = IPv4Address(desired.interface.address or "0.0.0.0")  # noqa: S104 - nothing listens on it
    return GuardedAddress(desired.parent, address, addresses.mac_bytes(desired.mac_address))
