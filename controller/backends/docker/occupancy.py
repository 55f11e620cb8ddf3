"""Which addresses our runtimes have on which LAN, as last observed, and whether anybody else has them: two may not.

The engine refuses an address only where it gave both; an interface made in a namespace is unknown to it, and so is
the rest of the LAN. Kept in memory: every runtime is observed after each start of the controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from controller import errors
from controller.backends.base import Identity, ObservedInterface
from controller.backends.docker.arrangement import Wish
from controller.network.arp.guard import AddressGuard, Held
from controller.resources import reasons

_NAMESAKE = "A Runtime of namespace {} asked for the container {} first: give one of the two another deviceId"


class Occupancy:
    """Addresses by runtime; ``guard`` knows of the machines that are not ours."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._held: dict[Identity, frozenset[Held]] = {}
        self._claims: dict[tuple[str, str], Identity] = {}

    def note(self, whose: Identity, interfaces: Iterable[ObservedInterface]) -> None:
        """Take what was observed of a runtime; nothing when it does not run."""
        held = frozenset(_held(found) for found in interfaces if found.address and found.mac_address)
        if held:
            self._held[whose] = held
        else:
            self._held.pop(whose, None)
        self._claims |= {(each.parent, str(each.address)): whose for each in held}
        self._guard.guard(whose.namespace, whose.device_id, held)

    def claim(self, whose: Identity, wishes: Sequence[Wish]) -> None:
        """Take what a runtime that shall run asks for: of two, it belongs to the one that asked first."""
        wanted = {_place(wish) for wish in wishes if wish.interface.address}
        self._claims = {place: holder for place, holder in self._claims.items() if holder != whose or place in wanted}
        for place in wanted:
            self._claims.setdefault(place, whose)

    def claimed(self, whose: Identity, wishes: Sequence[Wish]) -> tuple[str, str] | None:
        """Why a start may not be made, reason and message, when another runtime of ours has or asked first for an
        address of the wishes. Where both would have one container, that is what a person must mend.
        """
        for wish in wishes:
            holder = self._claims.get(_place(wish), whose)
            if holder == whose:
                continue
            if holder.device_id == whose.device_id:
                return reasons.NAME_TAKEN, _NAMESAKE.format(*holder[1:])
            return reasons.ADDRESS_CONFLICT, _taken(holder.device_id, *_place(wish))
        return None

    def judged(self, found: ObservedInterface) -> ObservedInterface:
        """What was observed, and whether another machine has the address too."""
        other = self._guard.other(_held(found)) if found.address and found.mac_address else ""
        if not other or not found.in_order:
            return found
        detail = f"{found.address} is also {other} on {found.parent_interface}: take that machine off or give another"
        return replace(found, in_order=False, detail=detail, awaits=reasons.ADDRESS_CONFLICT)

    def require_free(self, whose: Identity, wishes: Sequence[Wish]) -> None:
        """Raise errors.Waiting(ADDRESS_CONFLICT) when another runtime of ours has the address of a wish."""
        for wish in wishes:
            wanted = _place(wish)
            holders = (other.device_id for other, held in self._held.items() if other != whose and _has(held, wanted))
            if holder := next(holders, ""):
                raise errors.Waiting(reasons.ADDRESS_CONFLICT, _taken(holder, *wanted))

    async def require_unclaimed(self, whose: Identity, wishes: Sequence[Wish]) -> None:
        """Raise errors.Waiting(ADDRESS_CONFLICT) when anybody has an address that the runtime is to take now.

        One that it has already is not asked for again.
        """
        self.require_free(whose, wishes)
        wanted = {_wanted(wish): wish for wish in wishes if wish.interface.address}
        answers = await self._guard.probe([held for held in wanted if held not in self._held.get(whose, ())])
        for held, other in answers.items():
            raise errors.Waiting(reasons.ADDRESS_CONFLICT, _taken(other, held.parent, str(held.address)))


def _taken(holder: str, parent: str, address: str) -> str:
    return f"{holder} has the address {address} on {parent}: free it or give another one"


def _place(wish: Wish) -> tuple[str, str]:
    return wish.interface.parent_interface, wish.interface.address or ""


def _has(held: Iterable[Held], wanted: tuple[str, str]) -> bool:
    return any((each.parent, str(each.address)) == wanted for each in held)


def _held(found: ObservedInterface) -> Held:
    return Held(found.parent_interface, IPv4Address(found.address), _bytes(found.mac_address))


def _wanted(wish: Wish) -> Held:
    address = IPv4Address(wish.interface.address or "0.0.0.0")  # noqa: S104 - nothing listens on it
    return Held(wish.interface.parent_interface, address, _bytes(wish.mac_address))


def _bytes(mac_address: str) -> bytes:
    return bytes.fromhex(mac_address.replace(":", ""))
