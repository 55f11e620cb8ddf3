"""One ARP socket for each needed parent, in the event loop.

After a parent has disappeared, the next ``listen`` that finds it again reopens its socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address

from controller.network.arp.arp_socket import ArpSocket, close_in_thread
from controller.network.arp.packets import ArpClaim

log = logging.getLogger(__name__)


class Listeners:
    """``on_claim`` is called with a parent's name and a claim of one of the addresses watched there."""

    def __init__(self, on_claim: Callable[[str, ArpClaim], None]) -> None:
        self._on_claim = on_claim
        self._sockets: dict[str, ArpSocket] = {}

    def is_listening(self, parent: str) -> bool:
        """Return whether a socket is open on this parent; one of a parent that was removed hears nothing more."""
        arp = self._sockets.get(parent)
        return arp is not None and not arp.is_unbound

    def listen(self, needed: Mapping[str, Iterable[IPv4Address]]) -> None:
        """Listen for exactly these addresses, by parent."""
        for parent in list(self._sockets):
            # The kernel need not report a removal: only once, and as the same error as an interface that goes down.
            if parent not in needed or not self.is_listening(parent):
                self._drop(parent)
        for parent, addresses in needed.items():
            if arp := self._sockets.get(parent) or self._open(parent):
                arp.listen(sorted(addresses))

    def probe(self, parent: str, address: IPv4Address) -> bool:
        """Ask who has the address; return whether the question went out."""
        arp = self._sockets.get(parent)
        return arp is not None and self._try(parent, lambda: arp.probe(address))

    def defend(self, parent: str, address: IPv4Address, mac: bytes) -> None:
        """Announce that ``mac`` has the address."""
        if arp := self._sockets.get(parent):
            self._try(parent, lambda: arp.defend(address, mac))

    def _open(self, parent: str) -> ArpSocket | None:
        try:
            arp = ArpSocket(parent)
        except OSError as error:
            # No warning: a missing parent shows in the condition of the runtimes on it.
            log.debug("Cannot open an ARP socket on %s: %s", parent, error.strerror)
            return None
        self._sockets[parent] = arp
        asyncio.get_running_loop().add_reader(arp.fileno(), self._readable, parent)
        return arp

    def _drop(self, parent: str) -> None:
        arp = self._sockets.pop(parent)
        # Before the close: the number may then belong to another file of the loop.
        asyncio.get_running_loop().remove_reader(arp.fileno())
        close_in_thread(arp)

    def _readable(self, parent: str) -> None:
        for claim in self._sockets[parent].receive():
            self._on_claim(parent, claim)

    def _try(self, parent: str, send: Callable[[], None]) -> bool:
        try:
            send()
        except OSError as error:
            log.debug("Cannot send ARP on %s: %s", parent, error.strerror)
            return False
        return True
