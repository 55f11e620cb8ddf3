"""The DHCP client's state machine (RFC 2131 section 4.4, figure 5): messages and time in, messages out. Pure.

It has no clock, socket or random source: the caller passes the time, calls ``elapsed`` at ``deadline`` and sends the
returned messages. Two choices that the RFC leaves open follow from the needs of a plant: the previous address is always
requested first, and a node that boots before its DHCP server keeps using an unexpired lease (section 3.2, point 4).

An address is probed on the LAN before it is used: for some hundredths of a second, because nearly every machine
answers at once. A later answer within a second still counts, and declines the address after its first use.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from ipaddress import IPv4Address
from typing import NamedTuple

from controller.network.dhcp import address_check, leases, messages, waits
from controller.network.dhcp.address_check import AddressCheck
from controller.network.dhcp.leases import Lease
from controller.network.dhcp.messages import Message
from controller.network.dhcp.requests import Ask, Client, Exchange, Send
from controller.network.dhcp.waits import Backoff

_REQUESTS, _REBOOT_REQUESTS = 4, 3  # how often an offer, or the previous lease, is requested
_OTHERS_SECONDS = 1.0  # until other servers have answered as well
_SILENCE = 3  # unanswered messages before the problem is reported


class State(Enum):
    """The client's state; the RFC's names, and one for the time in which the address is probed."""

    SELECTING = "selecting"
    REBOOTING = "rebooting"
    REQUESTING = "requesting"
    CHECKING = "checking"
    BOUND = "bound"
    RENEWING = "renewing"
    REBINDING = "rebinding"


class LeaseProblem(Enum):
    """The current problem; cleared by the next lease."""

    SILENT = "silent"  # no server answers
    DENIED = "denied"  # a server refuses what it offers
    REFUSED = "refused"  # the server withdrew the address
    TAKEN = "taken"  # another machine has the address
    EXPIRED = "expired"  # the lease expired without a renewal
    UNRENEWED = "unrenewed"  # renewals are not answered; the lease is valid until it expires


class Declined(NamedTuple):
    """An address that was declined, and the hardware address of the machine that has it."""

    address: IPv4Address
    mac: bytes


Action = Send | Ask
_SETTLING = (LeaseProblem.REFUSED, LeaseProblem.TAKEN, LeaseProblem.EXPIRED)


class Machine:
    """One client. Times are seconds of a clock that never jumps; ``random_number`` returns a float in [0, 1).

    With ``checks``, it probes an address on the LAN before it uses it; ``declined`` belongs to the problem TAKEN.
    ``lease`` is the address that may be used now. Until ``settled``, that is unknown and a present address may stay.
    """

    def __init__(
        self, client: Client, remembered: Lease | None, random_number: Callable[[], float], *, checks: bool
    ) -> None:
        self._client = client
        self._remembered = remembered
        self._random_number = random_number
        self._checks = checks
        self._held: IPv4Address | None = None  # on the link before the first lease
        self._check: AddressCheck | None = None
        self._exchange = Exchange(client, 0, 0.0)
        self._offer: Message | None = None
        self._avoided: IPv4Address | None = None  # the server whose last offer came to nothing
        self._withdrawn = False  # by another server than that of the lease
        self._sent = 0
        self._refusals = 0  # of any kind, and expired leases, since the last renewal
        self.state = State.SELECTING
        self.lease: Lease | None = None
        self.problem: LeaseProblem | None = None
        self.declined: Declined | None = None
        self.deadline = leases.INFINITE

    @property
    def settled(self) -> bool:
        """Return whether ``lease`` is authoritative; during the first exchange with the server it is not."""
        return self.lease is not None or self.problem in _SETTLING

    def start(self, now: float, held: IPv4Address | None = None) -> list[Action]:
        """Start, with the previous lease if it has not expired; ``held`` is in use already, and is not probed."""
        self._held = held
        known = self._remembered
        rebooting = known is not None and known.expires > now
        return self._enter(State.REBOOTING if rebooting else State.SELECTING, now)

    def received(self, message: Message, source_mac: bytes, now: float) -> list[Action]:
        """Process a server's message."""
        if message.transaction != self._exchange.transaction or message.mac != self._client.mac:
            return []
        if self.state is State.SELECTING:
            return self._offered(message, now)
        # Nothing was asked: what comes now, also a NAK, is late or forged.
        if self.state in (State.CHECKING, State.BOUND):
            return []
        if message.kind == messages.NAK:
            return self._refused(message, now)
        lease = leases.from_acknowledgement(message, now, source_mac, self.lease or self._remembered)
        return self._acknowledged(lease, now) if message.kind == messages.ACK and lease is not None else []

    def claimed(self, address: IPv4Address, mac: bytes, now: float) -> list[Action]:
        """Process a claim of an address that somebody sent on the LAN."""
        check = self._check
        if check is None or mac == self._client.mac or not check.is_answer(address, now):
            return []
        self.problem, self.declined = LeaseProblem.TAKEN, Declined(address, mac)
        message = self._exchange.decline(check.lease)
        self.lease = self._remembered = None
        self._refusals += 1
        return [message, *self._pause(now, waits.AFTER_DECLINE)]

    def elapsed(self, now: float) -> list[Action]:
        """Return the messages due at ``deadline``; none before it."""
        if now < self.deadline:
            return []
        if self.state is State.CHECKING and self._check is not None:
            return self._ask(self._check, now)
        if self._withdrawn:
            return self._drop(now)
        return self._renew_or_expire(self.lease, now) if self.lease is not None else self._request_again(now)

    def _request_again(self, now: float) -> list[Action]:
        """Repeat the last message, or go back after several without an answer."""
        if self.state is State.SELECTING and self._offer is not None:
            return self._enter(State.REQUESTING, now)  # nobody else offers
        if self._sent >= _SILENCE and self.problem in (None, LeaseProblem.DENIED):
            # The others stay: they say more, and settled depends on them.
            self.problem = LeaseProblem.SILENT
        if self.state is State.REBOOTING and self._sent >= _REBOOT_REQUESTS:
            return self._fall_back_to_remembered(now)
        if self._offer is not None and self._sent >= _REQUESTS:
            self._avoided = self._offer.server
            return self._enter(State.SELECTING, now)
        return self._repeat(now)

    def _offered(self, message: Message, now: float) -> list[Action]:
        if message.kind != messages.OFFER or message.server is None or not leases.is_host(message.your_address):
            return []
        self._offer = message
        if message.server != self._avoided:
            return self._enter(State.REQUESTING, now)
        # Of several servers, one that refuses its own offers must not always win: the others have a second.
        self.deadline = min(self.deadline, now + _OTHERS_SECONDS)
        return []

    def _refused(self, message: Message, now: float) -> list[Action]:
        """Handle a NAK: that of the server that gave or offered the address counts at once."""
        if self._offer is not None:
            return self._deny(now) if message.server == self._offer.server else []
        known = self.lease or self._remembered
        if known is not None and message.server == known.server:
            return self._drop(now)
        # All servers are asked, and it may be another LAN. But the lease's own server, if it is here, knows better.
        if self.state is not State.RENEWING:
            self._withdrawn = True
            self.deadline = min(self.deadline, now + _OTHERS_SECONDS)
        return []

    def _deny(self, now: float) -> list[Action]:
        """Wait before the next DISCOVER: a server that refuses what it has just offered would do so in a tight loop."""
        self._avoided = self._offer.server if self._offer else None
        self._remembered = None
        if self.problem in (None, LeaseProblem.SILENT):
            self.problem = LeaseProblem.DENIED
        self._refusals += 1
        return self._pause(now, waits.REPETITION)

    def _drop(self, now: float) -> list[Action]:
        """Drop the lease; also the remembered one, which would be refused again."""
        self.problem = LeaseProblem.REFUSED
        self.lease = self._remembered = None
        return self._start_over(now)

    def _start_over(self, now: float) -> list[Action]:
        """Request another lease: at once, unless the server renews none of those that it gives."""
        actions = self._pause(now, waits.REPETITION) if self._refusals else self._enter(State.SELECTING, now)
        self._refusals += 1
        return actions

    def _acknowledged(self, lease: Lease, now: float) -> list[Action]:
        """Use the lease; a new address only after a probe."""
        used = self.lease.address.ip if self.lease is not None else self._held
        if not self._checks or lease.address.ip == used:
            self._bind(lease)
            return []
        self.state, self._check = State.CHECKING, AddressCheck(lease, now)
        return self._ask(self._check, now)

    def _ask(self, check: AddressCheck, now: float) -> list[Action]:
        """Ask once more, or use the address that nobody has."""
        question = check.question()
        if question:
            self.deadline = now + address_check.INTERVAL
        else:
            self._bind(check.lease)
        return [*question]

    def _pause(self, now: float, backoff: Backoff) -> list[Action]:
        """Wait before the next DISCOVER, the longer the more refusals there were."""
        self._begin(State.SELECTING, now)
        self.deadline = now + backoff.wait(self._refusals, self._random_number)
        return []

    def _bind(self, lease: Lease) -> None:
        if self.lease is not None:
            self._refusals = 0
        self.lease = self._remembered = lease
        self.problem = self.declined = self._offer = self._avoided = self._held = None
        self._withdrawn = False
        self.state = State.BOUND
        self.deadline = lease.renewed + lease.renew_after

    def _renew_or_expire(self, lease: Lease, now: float) -> list[Action]:
        """Handle T1, T2 and the end of the lease."""
        if now >= lease.expires:
            self.lease, self.problem = None, LeaseProblem.EXPIRED
            return self._start_over(now)
        state = State.REBINDING if now >= lease.renewed + lease.rebind_after else State.RENEWING
        self.problem = LeaseProblem.UNRENEWED if state is State.REBINDING else None
        return self._enter(state, now) if state is not self.state else self._repeat(now)

    def _fall_back_to_remembered(self, now: float) -> list[Action]:
        """Use the unconfirmed previous lease while it is valid, and keep requesting it."""
        known = self._remembered
        if known is None or known.expires <= now:
            return self._enter(State.SELECTING, now)
        self.lease, self.problem = known, LeaseProblem.UNRENEWED
        # REBINDING asks by broadcast, because any server may confirm the lease.
        requests = self._enter(State.REBINDING, now)
        if not self._checks or known.address.ip == self._held:
            return requests
        self._check = AddressCheck(known, now)
        return [*self._check.question(), *requests]

    def _enter(self, state: State, now: float) -> list[Action]:
        """Change the state and send its first message."""
        self._begin(state, now)
        return self._repeat(now)

    def _begin(self, state: State, now: float) -> None:
        """Start an exchange with a new transaction id; REQUESTING continues the id of the offer."""
        self.state = state
        if state is not State.REQUESTING:
            self._offer = self._check = None
            self._withdrawn = False
            self._exchange = Exchange(self._client, int(self._random_number() * 2**32), now)
        self._sent = 0

    def _repeat(self, now: float) -> list[Action]:
        self._sent += 1
        self.deadline = now + self._wait(now)
        return [self._message(now)]

    def _wait(self, now: float) -> float:
        """Return the seconds until retransmission."""
        if self.lease is None:
            return waits.REPETITION.wait(self._sent, self._random_number)
        return waits.until_renewal_again(self.lease, now, by_its_server=self.state is State.RENEWING)

    def _message(self, now: float) -> Send:
        if self._offer is not None:
            return self._exchange.accept(now, self._offer)
        if self.lease is not None:
            return self._exchange.renew(now, self.lease, by_its_server=self.state is State.RENEWING)
        if self.state is State.SELECTING:
            return self._exchange.discover(now, self._remembered)
        return self._exchange.confirm(now, self._remembered)
