"""Sends a heartbeat at fixed intervals from the connection on, and detects a dead link by missing acknowledgements.

It waits only for the clock, and knows neither the payload's content nor the transport.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from controller.errors import LinkError

EVENT = "heartbeat"
ACKNOWLEDGEMENT = "heartbeat_ack"  # event with which a cloud acknowledges a heartbeat unasked
INTERVAL = 5.0  # seconds

# A frozen cloud is detected at the third heartbeat after its last acknowledgement: within 15 s.
MAX_UNANSWERED = 2

# Limit of pending Socket.IO acknowledgements per connection: the library keeps each one until the connection ends.
MAX_PENDING = 12

# Consecutive connections that may be ended because acknowledgements stopped. A cloud that acknowledges only the first
# heartbeats would lose every connection, so after this many only Engine.IO's pings (45 s) detect a dead link.
MAX_SILENCES = 2
# Acknowledgements for this many seconds on one connection reset that count.
PROVEN_SECONDS = 3600.0

Payload = Callable[[str], Mapping[str, Any]]
Emit = Callable[[str, Mapping[str, Any], Callable[..., None] | None], Awaitable[None]]

log = logging.getLogger(__name__)


class Heartbeat:
    """State shared by all connections.

    ``payload`` is called with the agent id for each heartbeat and must not block. ``interval`` is in seconds.
    ``on_sent`` is called after each heartbeat with its delay in seconds behind schedule.
    """

    def __init__(
        self, payload: Payload, interval: float = INTERVAL, on_sent: Callable[[float], None] = lambda _: None
    ) -> None:
        self.payload = payload
        self.interval = interval
        self.on_sent = on_sent
        self._silences = 0

    def sender(self) -> HeartbeatSender:
        """Create the sender for a new connection."""
        return HeartbeatSender(self)

    def on_silence(self) -> bool:
        """Count a connection on which acknowledgements stopped. Returns whether to end that connection."""
        self._silences += 1
        if self._silences == MAX_SILENCES + 1:
            log.warning(
                "The cloud repeatedly stops acknowledging heartbeats: missing acknowledgements no longer end the link"
            )
        return self._silences <= MAX_SILENCES

    def on_proven(self) -> None:
        """Reset the count: the cloud acknowledges reliably."""
        self._silences = 0


class HeartbeatSender:
    """Sends the heartbeats of one connection.

    It learns afresh whether the cloud acknowledges: another cloud may answer the next connection.
    """

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._start = 0.0
        self._pending = 0  # requested acknowledgements that have not arrived
        self._unanswered = 0
        self._acknowledging = False
        self._by_event = False

    async def run(self, agent_id: str, emit: Emit) -> None:
        """Send heartbeats until cancelled, the first one immediately.

        Raises LinkError if the cloud acknowledged on this connection and then stopped.
        """
        loop, interval = asyncio.get_running_loop(), self._heartbeat.interval
        self._start, number = loop.time(), 0
        while True:  # no controller: it ends with its connection, and LinkError ends the connection
            self._check()
            await self._beat(agent_id, emit)
            self._heartbeat.on_sent(loop.time() - self._start - number * interval)
            # Skip heartbeats that a stalled process missed: a burst would carry no information.
            number = max(number, int((loop.time() - self._start) / interval)) + 1
            # Counted from the start, so that delays do not add up.
            await asyncio.sleep(self._start + number * interval - loop.time())

    def acknowledged(self) -> None:
        """Record an acknowledgement that the cloud sent as an event."""
        self._by_event = True
        self._on_acknowledged()

    def _check(self) -> None:
        if not self._acknowledging or self._unanswered < MAX_UNANSWERED:
            return
        if self._heartbeat.on_silence():
            raise LinkError(f"the cloud acknowledged none of the last {self._unanswered} heartbeats")
        self._acknowledging = False  # until the next acknowledgement

    async def _beat(self, agent_id: str, emit: Emit) -> None:
        try:
            payload = self._heartbeat.payload(agent_id)
        except Exception:
            # A bug in a figure must not make a working agent look dead.
            log.exception("Failed to collect the heartbeat's figures; sending it without them")
            payload = {"agent_id": agent_id, "status": "online"}
        requested = self._pending < MAX_PENDING
        self._pending += requested
        self._unanswered += requested or self._by_event  # count only where an acknowledgement is expected
        await emit(EVENT, payload, self._on_answered if requested else None)

    def _on_answered(self, *_: Any) -> None:
        self._pending -= 1
        self._on_acknowledged()

    def _on_acknowledged(self) -> None:
        self._acknowledging = True
        self._unanswered = 0
        if asyncio.get_running_loop().time() - self._start >= PROVEN_SECONDS:
            self._heartbeat.on_proven()
