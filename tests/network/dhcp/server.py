"""A fake DHCP server with a clock controlled by the test, to drive the state machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any

from controller.network.dhcp import messages
from controller.network.dhcp.leases import Lease
from controller.network.dhcp.machine import Action, Machine
from controller.network.dhcp.messages import Message
from controller.network.dhcp.requests import Ask, Client, Send

MAC = bytes.fromhex("02ab00000001")
SERVER_MAC, OTHER_MAC = bytes.fromhex("02cc00000001"), bytes.fromhex("02cd00000001")
ADDRESS, SERVER, ROUTER = "10.0.0.20", "10.0.0.1", "10.0.0.1"


class Exchange:
    """A state machine with its sent messages, and the time."""

    def __init__(self, remembered: Lease | None = None, *, checks: bool = False) -> None:
        self.now = 1000.0
        self.machine = Machine(Client(MAC, "plc-1"), remembered, lambda: 0.5, checks=checks)
        self.sent: list[Send] = []
        self.asked: list[IPv4Address] = []

    def start(self, held: str = "") -> Exchange:
        """Start the machine on a link that holds this address."""
        self._take(self.machine.start(self.now, IPv4Address(held) if held else None))
        return self

    def bound(self, **more: Any) -> Exchange:
        """Start the machine and obtain a lease."""
        self.start()
        self.answer(messages.OFFER, **more)
        self.answer(messages.ACK, **more)
        return self

    def answer(self, kind: int, address: str = ADDRESS, **more: Any) -> None:
        """Let the server answer the last message."""
        self._take(self.machine.received(reply(self.last.message, kind, address, **more), SERVER_MAC, self.now))

    def pass_time(self, seconds: float) -> None:
        """Advance the time and call the machine at each of its deadlines."""
        end = self.now + seconds
        while self.machine.deadline <= end:
            self.now = self.machine.deadline
            self._take(self.machine.elapsed(self.now))
        self.now = end

    @property
    def last(self) -> Send:
        """The last message sent."""
        return self.sent[-1]

    def kinds(self) -> list[int]:
        """The kinds of all messages sent."""
        return [each.message.kind for each in self.sent]

    def claim(self, address: str = ADDRESS, mac: bytes = OTHER_MAC) -> None:
        """Let another machine claim an address."""
        self._take(self.machine.claimed(IPv4Address(address), mac, self.now))

    def _take(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Ask):
                self.asked.append(action.address)
            else:
                self.sent.append(action)


def reply(asked: Message, kind: int, address: str = ADDRESS, **more: Any) -> Message:
    """A server's message; ``more`` are seconds (lease, None for none, renew, rebind), mask, server, router, dns,
    classless (routes as bytes).
    """
    options = {messages.KIND: bytes([kind]), messages.SERVER: IPv4Address(more.get("server", SERVER)).packed}
    if kind != messages.NAK:
        options |= {
            messages.SUBNET_MASK: IPv4Address(more.get("mask", "255.255.255.0")).packed,
            messages.ROUTER: IPv4Address(more.get("router", ROUTER)).packed,
            messages.NAME_SERVERS: b"".join(IPv4Address(each).packed for each in more.get("dns", ())),
        }
    if (lease := more.get("lease", 3600)) is not None and kind != messages.NAK:
        options[messages.LEASE_SECONDS] = lease.to_bytes(4, "big")
    if "classless" in more:
        options[messages.CLASSLESS_ROUTES] = more["classless"]
    for name, option in (("renew", messages.RENEWAL_SECONDS), ("rebind", messages.REBINDING_SECONDS)):
        if name in more:
            options[option] = more[name].to_bytes(4, "big")
    your = IPv4Address(address) if kind != messages.NAK else IPv4Address(0)
    return dataclasses.replace(asked, kind=kind, your_address=your, options=options)
