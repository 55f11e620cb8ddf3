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
INTERVAL = 5.0

# A frozen cloud is seen at the third beat after its last acknowledgement: in 15 s.
MOST_UNANSWERED = 2

# A cloud that acknowledged none of so many is one that never does; asking on would keep a callback for each beat.
PROBES = 12

Payload = Callable[[str], Mapping[str, Any]]
Emit = Callable[[str, Mapping[str, Any], Callable[..., None] | None], Awaitable[None]]

log = logging.getLogger(__name__)


class Heartbeat:
    """Beats for one connection after the other.

    ``payload`` is called with the agent id for each beat; it must return at once. ``interval`` is in seconds.
    ``on_sent`` hears for each beat how many seconds behind its place on the grid it left.
    """

    def __init__(
        self, payload: Payload, interval: float = INTERVAL, on_sent: Callable[[float], None] = lambda _: None
    ) -> None:
        self._payload = payload
        self._interval = interval
        self._on_sent = on_sent
        self._acknowledging = False  # whether this cloud ever acknowledged one, on whichever connection
        self._unanswered = 0

    async def run(self, agent_id: str, emit: Emit) -> None:
        """Beat until cancelled; the first beat goes out at once.

        Raises LinkError when a cloud that used to acknowledge has stopped to.
        """
        loop = asyncio.get_running_loop()
        start, number = loop.time(), 0
        self._unanswered = 0
        while True:
            self._check()
            await self._beat(agent_id, emit, probe=number < PROBES)
            self._on_sent(loop.time() - start - number * self._interval)
            # Beats that a stalled process missed are left out: a burst would tell nothing.
            number = max(number, int((loop.time() - start) / self._interval)) + 1
            await asyncio.sleep(start + number * self._interval - loop.time())

    def _check(self) -> None:
        if self._acknowledging and self._unanswered >= MOST_UNANSWERED:
            raise LinkError(f"the cloud acknowledged none of the last {self._unanswered} heartbeats")

    async def _beat(self, agent_id: str, emit: Emit, *, probe: bool) -> None:
        try:
            payload = self._payload(agent_id)
        except Exception:
            log.exception("the heartbeat's figures failed; the cloud gets none with this beat")
            payload = {"agent_id": agent_id, "status": "online"}
        self._unanswered += 1
        await emit(EVENT, payload, self._on_acknowledged if probe or self._acknowledging else None)

    def _on_acknowledged(self, *_: Any) -> None:
        self._acknowledging = True
        self._unanswered = 0
