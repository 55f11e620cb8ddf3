"""Asks the LAN whether somebody has an address that was just leased (RFC 2131 section 2.2, RFC 5227). Pure."""

from __future__ import annotations

from ipaddress import IPv4Address

from controller.network.dhcp.leases import Lease
from controller.network.dhcp.requests import Ask

# Shorter than in RFC 5227, which allows for any kind of link: on a wired LAN an answer takes a millisecond.
_QUESTIONS, INTERVAL = 3, 0.01
# A machine that is slower may answer when the address is in use already.
ANSWER_SECONDS = 1.0


class AddressCheck:
    """The check of a lease's address, which begins ``now``."""

    def __init__(self, lease: Lease, now: float) -> None:
        self.lease = lease
        self._ends = now + ANSWER_SECONDS
        self._asked = 0

    def question(self) -> list[Ask]:
        """Return the next question; none after the last one, when the address may be used."""
        self._asked += 1
        return [Ask(self.lease.address.ip)] if self._asked <= _QUESTIONS else []

    def is_answer(self, address: IPv4Address, now: float) -> bool:
        """Return whether a claim of this address counts."""
        return address == self.lease.address.ip and now < self._ends
