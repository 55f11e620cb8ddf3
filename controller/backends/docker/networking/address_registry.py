"""Which addresses our runtimes have on which LAN, as last observed, and whether anybody else has them: two may not.

The engine refuses an address only where it gave both; an interface made in a namespace is unknown to it, and so is
the rest of the LAN. Kept in memory: every runtime is observed after each start of the controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from controller import errors
from controller.api import reasons
from controller.backends.base import Identity, ObservedInterface
from controller.backends.docker.networking.endpoint_plan import DesiredInterface
from controller.network.arp.guard import AddressGuard, GuardedAddress

_NAMESAKE = "A Runtime of namespace {} asked for the container {} first: give one of the two another deviceId"


class AddressRegistry:
    """Addresses by runtime; ``guard`` knows of the machines that are not ours."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._held: dict[Identity, frozenset[GuardedAddress]] = {}
        self._claims: dict[tuple[str, str], Identity] = {}

    def note(self, identity: Identity, interfaces: Iterable[ObservedInterface]) -> None:
        """Take what was observed of a runtime; nothing when it does not run."""
        held = frozenset(_held(found) for found in interfaces if found.address and found.mac_address)
        if held:
            self._held[identity] = held
        else:
            self._held.pop(identity, None)
        self._claims |= {(each.parent, str(each.address)): identity for each in held}
        self._guard.guard(identity.namespace, identity.device_id, held)

    def claim(self, identity: Identity, desired_interfaces: Sequence[DesiredInterface]) -> None:
        """Take what a runtime that shall run asks for: of two, it belongs to the one that asked first."""
        wanted = {_place(desired) for desired in desired_interfaces if desired.interface.address}
        self._claims = {
            place: holder for place, holder in self._claims.items() if holder != identity or place in wanted
        }
        for place in wanted:
            self._claims.setdefault(place, identity)

    def claimed(self, identity: Identity, desired_interfaces: Sequence[DesiredInterface]) -> tuple[str, str] | None:
        """Why a start may not be made, reason and message, when another runtime of ours has or asked first for an
        address of the wishes. Where both would have one container, that is what a person must mend.
        """
        for desired in desired_interfaces:
            holder = self._claims.get(_place(desired), identity)
            if holder == identity:
                continue
            if holder.device_id == identity.device_id:
                return reasons.NAME_TAKEN, _NAMESAKE.format(*holder[1:])
            return reasons.ADDRESS_CONFLICT, _taken(holder.device_id, *_place(desired))
        return None

    def judged(self, found: ObservedInterface) -> ObservedInterface:
        """What was observed, and whether another machine has the address too."""
        other = self._guard.conflicting_mac(_held(found)) if found.address and found.mac_address else ""
        if not other or not found.in_order:
            return found
        detail = f"{found.address} is also {other} on {found.parent_interface}: take that machine off or give another"
        return replace(found, in_order=False, detail=detail, awaits=reasons.ADDRESS_CONFLICT)

    def require_free(self, identity: Identity, desired_interfaces: Sequence[DesiredInterface]) -> None:
        """Raise errors.Waiting(ADDRESS_CONFLICT) when another runtime of ours has the address of a wish."""
        for desired in desired_interfaces:
            wanted = _place(desired)
            holders = (
                other.device_id for other, held in self._held.items() if other != identity and _has(held, wanted)
            )
            if holder := next(holders, ""):
                raise errors.Waiting(reasons.ADDRESS_CONFLICT, _taken(holder, *wanted))

    async def require_unclaimed(self, identity: Identity, desired_interfaces: Sequence[DesiredInterface]) -> None:
        """Raise errors.Waiting(ADDRESS_CONFLICT) when anybody has an address that the runtime is to take now.

        One that it has already is not asked for again.
        """
        self.require_free(identity, desired_interfaces)
        wanted = {_wanted(desired): desired for desired in desired_interfaces if desired.interface.address}
        answers = await self._guard.probe([held for held in wanted if held not in self._held.get(identity, ())])
        for held, other in answers.items():
            raise errors.Waiting(reasons.ADDRESS_CONFLICT, _taken(other, held.parent, str(held.address)))


def _taken(holder: str, parent: str, address: str) -> str:
    return f"{holder} has the address {address} on {parent}: free it or give another one"


def _place(desired: DesiredInterface) -> tuple[str, str]:
    return desired.interface.parent_interface, desired.interface.address or ""


def _has(held: Iterable[GuardedAddress], wanted: tuple[str, str]) -> bool:
    return any((each.parent, str(each.address)) == wanted for each in held)


def _held(found: ObservedInterface) -> GuardedAddress:
    return GuardedAddress(found.parent_interface, IPv4Address(found.address), _bytes(found.mac_address))


def _wanted(desired: DesiredInterface) -> GuardedAddress:
    address = IPv4Address(desired.interface.address or "0.0.0.0")  # noqa: S104 - nothing listens on it
    return GuardedAddress(desired.interface.parent_interface, address, _bytes(desired.mac_address))


def _bytes(mac_address: str) -> bytes:
    return bytes.fromhex(mac_address.replace(":", ""))
