"""The DHCP client's state machine (RFC 2131 section 4.4, figure 5): messages and time in, messages out. Pure.

It has no clock, socket or random source: the caller passes the time, calls ``elapsed`` at ``deadline`` and sends the
returned messages. Two choices that the RFC leaves open follow from the needs of a plant: the previous address is always
requested first, and a node that boots before its DHCP server keeps using an unexpired lease (section 3.2, point 4).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from ipaddress import IPv4Address

from controller.network.dhcp import leases, messages
from controller.network.dhcp.leases import Lease
from controller.network.dhcp.messages import Message
from controller.network.dhcp.requests import Client, Exchange, Send

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 16.0  # seconds between repetitions, doubled each time
_REQUESTS, _REBOOT_REQUESTS = 4, 3  # how often an offer, or the previous lease, is requested
# Half the remaining time as in the RFC, but capped for long leases, so that the server's return is noticed soon.
_SHORTEST_RENEWAL_WAIT, _LONGEST_RENEWAL_WAIT, _LONGEST_REBINDING_WAIT = 10.0, 600.0, 20.0
_SILENCE = 3  # unanswered messages before the problem is reported


class State(Enum):
    """The client's state; the RFC's names."""

    SELECTING = "selecting"
    REBOOTING = "rebooting"
    REQUESTING = "requesting"
    BOUND = "bound"
    RENEWING = "renewing"
    REBINDING = "rebinding"


class LeaseProblem(Enum):
    """The current problem; cleared by the next lease."""

    SILENT = "silent"  # no server answers
    DENIED = "denied"  # a server refuses what it offers
    REFUSED = "refused"  # the server withdrew the address
    EXPIRED = "expired"  # the lease expired without a renewal
    UNRENEWED = "unrenewed"  # renewals are not answered; the lease is valid until it expires


class Machine:
    """One client. Times are seconds of a clock that never jumps; ``random_number`` returns a float in [0, 1).

    ``lease`` is the address that may be used now. Until ``settled``, that is unknown and a present address may stay.
    """

    def __init__(self, client: Client, remembered: Lease | None, random_number: Callable[[], float]) -> None:
        self._client = client
        self._remembered = remembered
        self._random_number = random_number
        self._exchange = Exchange(client, 0, 0.0)
        self._offer: Message | None = None
        self._avoided: IPv4Address | None = None  # the server whose last offer came to nothing
        self._withdrawn = False  # by another server than that of the lease
        self._sent = 0
        self._refusals = 0  # since the last renewal
        self.state = State.SELECTING
        self.lease: Lease | None = None
        self.problem: LeaseProblem | None = None
        self.deadline = leases.INFINITE

    @property
    def settled(self) -> bool:
        """Return whether ``lease`` is authoritative; during the first exchange with the server it is not."""
        return self.lease is not None or self.problem in (LeaseProblem.REFUSED, LeaseProblem.EXPIRED)

    def start(self, now: float) -> list[Send]:
        """Start, with the previous lease if it has not expired."""
        known = self._remembered
        rebooting = known is not None and known.expires > now
        return self._enter(State.REBOOTING if rebooting else State.SELECTING, now)

    def received(self, message: Message, source_mac: bytes, now: float) -> list[Send]:
        """Process a server's message."""
        if message.transaction != self._exchange.transaction or message.mac != self._client.mac:
            return []
        if self.state is State.SELECTING:
            return self._offered(message, now)
        # Nothing was asked: what comes now, also a NAK, is late or forged.
        if self.state is State.BOUND:
            return []
        if message.kind == messages.NAK:
            return self._refused(message, now)
        lease = leases.from_acknowledgement(message, now, source_mac, self.lease or self._remembered)
        if message.kind == messages.ACK and lease is not None:
            self._bind(lease, now)
        return []

    def elapsed(self, now: float) -> list[Send]:
        """Return the messages due at ``deadline``; none before it."""
        if now < self.deadline:
            return []
        if self._withdrawn:
            return self._drop(now)
        if self.lease is not None:
            return self._renew_or_expire(self.lease, now)
        if self.state is State.SELECTING and self._offer is not None:
            return self._enter(State.REQUESTING, now)  # nobody else offers
        return self._ask_again(now)

    def _ask_again(self, now: float) -> list[Send]:
        """Repeat the last message, or go back after several without an answer."""
        if self._sent >= _SILENCE and self.problem in (None, LeaseProblem.DENIED):
            # REFUSED and EXPIRED stay: they say more, and settled depends on them.
            self.problem = LeaseProblem.SILENT
        if self.state is State.REBOOTING and self._sent >= _REBOOT_REQUESTS:
            return self._fall_back_to_remembered(now)
        if self._offer is not None and self._sent >= _REQUESTS:
            self._avoided = self._offer.server
            return self._enter(State.SELECTING, now)
        return self._repeat(now)

    def _offered(self, message: Message, now: float) -> list[Send]:
        if message.kind != messages.OFFER or message.server is None or not leases.is_host(message.your_address):
            return []
        self._offer = message
        if message.server != self._avoided:
            return self._enter(State.REQUESTING, now)
        # Of several servers, one that refuses its own offers must not always win: the others have a second.
        self.deadline = min(self.deadline, now + _FIRST_WAIT)
        return []

    def _refused(self, message: Message, now: float) -> list[Send]:
        """Handle a NAK: that of the server that gave or offered the address counts at once."""
        if self._offer is not None:
            return self._deny(now) if message.server == self._offer.server else []
        known = self.lease or self._remembered
        if known is not None and message.server == known.server:
            return self._drop(now)
        # All servers are asked, and it may be another LAN. But the lease's own server, if it is here, knows better.
        if self.state is not State.RENEWING:
            self._withdrawn = True
            self.deadline = min(self.deadline, now + _FIRST_WAIT)
        return []

    def _deny(self, now: float) -> list[Send]:
        """Wait before the next DISCOVER: a server that refuses what it has just offered would do so in a tight loop."""
        self._avoided = self._offer.server if self._offer else None
        self._remembered = None
        if self.problem in (None, LeaseProblem.SILENT):
            self.problem = LeaseProblem.DENIED
        self._refusals += 1
        return self._pause(now, self._backoff(self._refusals))

    def _drop(self, now: float) -> list[Send]:
        """Drop the lease; also the remembered one, which would be refused again."""
        self.problem = LeaseProblem.REFUSED
        self.lease = self._remembered = None
        self._refusals += 1
        if self._refusals == 1:
            return self._enter(State.SELECTING, now)
        # A server may refuse to renew each lease that it has just given.
        return self._pause(now, self._backoff(self._refusals - 1))

    def _pause(self, now: float, seconds: float) -> list[Send]:
        self._begin(State.SELECTING, now)
        self.deadline = now + seconds
        return []

    def _bind(self, lease: Lease, now: float) -> None:
        if self.lease is not None:
            self._refusals = 0
        self.lease = self._remembered = lease
        self.problem = self._offer = self._avoided = None
        self._withdrawn = False
        self.state = State.BOUND
        self.deadline = now + lease.renew_after

    def _renew_or_expire(self, lease: Lease, now: float) -> list[Send]:
        """Handle T1, T2 and the end of the lease."""
        if now >= lease.expires:
            self.lease, self.problem = None, LeaseProblem.EXPIRED
            return self._enter(State.SELECTING, now)
        state = State.REBINDING if now >= lease.renewed + lease.rebind_after else State.RENEWING
        self.problem = LeaseProblem.UNRENEWED if state is State.REBINDING else None
        return self._enter(state, now) if state is not self.state else self._repeat(now)

    def _fall_back_to_remembered(self, now: float) -> list[Send]:
        """Use the unconfirmed previous lease while it is valid, and keep requesting it."""
        known = self._remembered
        if known is None or known.expires <= now:
            return self._enter(State.SELECTING, now)
        self.lease, self.problem = known, LeaseProblem.UNRENEWED
        # REBINDING asks by broadcast, because any server may confirm the lease.
        return self._enter(State.REBINDING, now)

    def _enter(self, state: State, now: float) -> list[Send]:
        """Change the state and send its first message."""
        self._begin(state, now)
        return self._repeat(now)

    def _begin(self, state: State, now: float) -> None:
        """Start an exchange with a new transaction id; REQUESTING continues the id of the offer."""
        self.state = state
        if state is not State.REQUESTING:
            self._offer = None
            self._withdrawn = False
            self._exchange = Exchange(self._client, int(self._random_number() * 2**32), now)
        self._sent = 0

    def _repeat(self, now: float) -> list[Send]:
        self._sent += 1
        self.deadline = now + self._wait(now)
        return [self._message(now)]

    def _wait(self, now: float) -> float:
        """Return the seconds until retransmission."""
        if self.lease is None:
            return self._backoff(self._sent)
        rebind = self.lease.renewed + self.lease.rebind_after
        renewing = self.state is State.RENEWING
        end, longest = (rebind, _LONGEST_RENEWAL_WAIT) if renewing else (self.lease.expires, _LONGEST_REBINDING_WAIT)
        # Never beyond T2 or the end of the lease, when something else is due.
        return min(max((end - now) / 2, _SHORTEST_RENEWAL_WAIT), longest, end - now)

    def _backoff(self, attempts: int) -> float:
        """Return growing seconds with jitter: after a power cut a whole plant asks at once."""
        # The exponent is bounded, because the count grows as long as the server is silent.
        doubled = _FIRST_WAIT * (1 << min(attempts - 1, 10))
        return min(doubled, _LONGEST_WAIT) * (0.9 + 0.2 * self._random_number())

    def _message(self, now: float) -> Send:
        if self._offer is not None:
            return self._exchange.accept(now, self._offer)
        if self.lease is not None:
            return self._exchange.renew(now, self.lease, by_its_server=self.state is State.RENEWING)
        if self.state is State.SELECTING:
            return self._exchange.discover(now, self._remembered)
        return self._exchange.confirm(now, self._remembered)
