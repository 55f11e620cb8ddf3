"""The heartbeat: one event on a fixed grid from the connection on, and what its acknowledgements tell of the link.

It waits for nothing but the clock. It does not know what a payload holds, nor how an event travels.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from controller.errors import LinkError

EVENT = "heartbeat"
ACKNOWLEDGEMENT = "heartbeat_ack"  # the event with which a cloud acknowledges one without being asked to
INTERVAL = 5.0

# A frozen cloud is seen at the third beat after its last acknowledgement: in 15 s.
MOST_UNANSWERED = 2

# Requests for an acknowledgement that may stay open on one connection; each is kept until the connection ends.
PROBES = 12

# So many connections in a row may end because acknowledgements stopped. A cloud that acknowledges the first beats
# only would end them all; Engine.IO's own pings (45 s) then have to tell whether it lives.
MOST_SILENCES = 2
# A connection on which acknowledgements came for so long (seconds) ends the row.
PROVEN_SECONDS = 3600.0

Payload = Callable[[str], Mapping[str, Any]]
Emit = Callable[[str, Mapping[str, Any], Callable[..., None] | None], Awaitable[None]]

log = logging.getLogger(__name__)


class Heartbeat:
    """What all connections share. ``payload`` is called with the agent id for each beat; it must return at once.

    ``interval`` is in seconds. ``on_sent`` hears for each beat how many seconds behind its place on the grid it left.
    """

    def __init__(
        self, payload: Payload, interval: float = INTERVAL, on_sent: Callable[[float], None] = lambda _: None
    ) -> None:
        self.payload = payload
        self.interval = interval
        self.on_sent = on_sent
        self._silences = 0

    def pulse(self) -> Pulse:
        """The beats of a new connection."""
        return Pulse(self)

    def silent(self) -> bool:
        """Note that a cloud stopped acknowledging; whether that is to end the connection."""
        self._silences += 1
        if self._silences == MOST_SILENCES + 1:
            log.warning("the cloud acknowledges heartbeats and then stops: from now on its silence ends no connection")
        return self._silences <= MOST_SILENCES

    def proven(self) -> None:
        """Note that a cloud keeps acknowledging."""
        self._silences = 0


class Pulse:
    """The beats of one connection, and what this cloud acknowledges: another one may be behind the next connection."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._start = 0.0
        self._open = 0  # requests for an acknowledgement without one
        self._unanswered = 0
        self._acknowledging = False
        self._by_event = False

    async def run(self, agent_id: str, emit: Emit) -> None:
        """Beat until cancelled; the first beat goes out at once.

        Raises LinkError when a cloud that acknowledged on this connection has stopped to.
        """
        loop, interval = asyncio.get_running_loop(), self._heartbeat.interval
        self._start, number = loop.time(), 0
        while True:
            self._check()
            await self._beat(agent_id, emit)
            self._heartbeat.on_sent(loop.time() - self._start - number * interval)
            # Beats that a stalled process missed are left out: a burst would tell nothing.
            number = max(number, int((loop.time() - self._start) / interval)) + 1
            await asyncio.sleep(self._start + number * interval - loop.time())

    def acknowledged(self) -> None:
        """The cloud sent an acknowledgement as an event."""
        self._by_event = True
        self._on_acknowledged()

    def _check(self) -> None:
        if not self._acknowledging or self._unanswered < MOST_UNANSWERED:
            return
        if self._heartbeat.silent():
            raise LinkError(f"the cloud acknowledged none of the last {self._unanswered} heartbeats")
        self._acknowledging = False  # until the next acknowledgement

    async def _beat(self, agent_id: str, emit: Emit) -> None:
        try:
            payload = self._heartbeat.payload(agent_id)
        except Exception:
            log.exception("the heartbeat's figures failed; the cloud gets none with this beat")
            payload = {"agent_id": agent_id, "status": "online"}
        asks = self._open < PROBES
        self._open += asks
        self._unanswered += asks or self._by_event  # nothing is missed that is not expected
        await emit(EVENT, payload, self._on_answered if asks else None)

    def _on_answered(self, *_: Any) -> None:
        self._open -= 1
        self._on_acknowledged()

    def _on_acknowledged(self) -> None:
        self._acknowledging = True
        self._unanswered = 0
        if asyncio.get_running_loop().time() - self._start >= PROVEN_SECONDS:
            self._heartbeat.proven()
