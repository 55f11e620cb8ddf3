"""Which addresses our runtimes have on which LAN, as last observed: two may not have the same.

The engine refuses an address only where it gave both; an interface made in a namespace is unknown to it. Other
machines on the LAN are not asked. Kept in memory: every runtime is observed after each start of the controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controller import errors
from controller.backends.base import Identity, ObservedInterface
from controller.backends.docker.arrangement import Wish
from controller.resources import reasons


class Occupancy:
    """Addresses by runtime."""

    def __init__(self) -> None:
        self._held: dict[Identity, frozenset[tuple[str, str]]] = {}

    def note(self, whose: Identity, interfaces: Iterable[ObservedInterface]) -> None:
        """Take what was observed of a runtime; nothing when it does not run."""
        held = frozenset((found.parent_interface, found.address) for found in interfaces if found.address)
        if held:
            self._held[whose] = held
        else:
            self._held.pop(whose, None)

    def require_free(self, whose: Identity, wishes: Sequence[Wish]) -> None:
        """Raise errors.Stalled(ADDRESS_CONFLICT) when another runtime has the address of a wish."""
        for wish in wishes:
            wanted = (wish.interface.parent_interface, wish.interface.address or "")
            holders = (other.device_id for other, held in self._held.items() if other != whose and wanted in held)
            if holder := next(holders, ""):
                message = f"{holder} has the address {wanted[1]} on {wanted[0]}: free it or give another one"
                raise errors.Stalled(reasons.ADDRESS_CONFLICT, message)
