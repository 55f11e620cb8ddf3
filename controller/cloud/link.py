"""The cloud link: keeps a connection to the cloud open, reconnects after every loss, and reports its state.

Each distinct connection error is logged once between two connections.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from controller.cloud import causes, transport
from controller.cloud.connection import CONNECT_SECONDS, Connection
from controller.cloud.dispatcher import Dispatcher
from controller.cloud.heartbeat import Heartbeat
from controller.cloud.identity import Identity
from controller.machinery.backoff import Backoff

STABLE_SECONDS = 10.0  # a connection that lasted this long resets the backoff

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LinkState:
    """State of the link; ``connected_since`` is in Unix seconds, ``attempts`` counts consecutive failures."""

    agent_id: str | None = None
    certificate_end: datetime | None = None
    connected_since: float | None = None
    last_error: str | None = None
    attempts: int = 0

    @property
    def connected(self) -> bool:
        """Whether the link is up."""
        return self.connected_since is not None


class Link:
    """Keeps the link to ``url`` up.

    ``load_identity`` reads the certificates; it runs in a thread before each connection. ``on_state`` is called on
    every change of state.
    """

    def __init__(
        self,
        url: str,
        load_identity: Callable[[], Identity],
        dispatcher: Dispatcher,
        heartbeat: Heartbeat,
        on_state: Callable[[LinkState], None] = lambda _: None,
        *,
        backoff: Backoff | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.state = LinkState()
        self._url = url
        self._load_identity = load_identity
        self._dispatcher = dispatcher
        self._heartbeat = heartbeat
        self._on_state = on_state
        self._backoff = backoff or Backoff(1.0, 5.0)
        self._connect_seconds = connect_seconds
        self._clock = clock
        self._logged: set[str] = set()  # causes logged since the last connection; one refusal may alternate causes
        self._running: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Keep the link up until ``stop`` or cancellation."""
        self._running = asyncio.current_task()
        while True:  # no controller: a good connection also ends, and the cause of each end is reported
            cause = await self._connect_and_serve()
            delay = self._backoff.next()
            log.debug("Next attempt in %.1f s", delay)
            self._on_failure(cause)
            await asyncio.sleep(delay)

    async def stop(self) -> None:
        """End ``run`` and the connection, within 2 s."""
        if self._running and not self._running.done():
            self._running.cancel()
            # wait() does not raise the task's cancellation in the caller.
            await asyncio.wait([self._running])

    async def _connect_and_serve(self) -> str:
        """Open one connection and serve it to its end. Returns why it failed or ended."""
        try:
            identity = await asyncio.to_thread(self._load_identity)
            self._update(agent_id=identity.agent_id, certificate_end=identity.not_after)
            # Checked here, not with the settings: a host configured with such a URL must still start after an upgrade.
            transport.check(self._url)
            async with Connection(self._url, identity, self._dispatcher, self._connect_seconds) as connection:
                await self._serve(connection)
        except Exception as error:  # noqa: BLE001 - retry whatever a library raises
            return causes.explain(error, self._url)
        return "the connection ended"

    async def _serve(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        self._logged.clear()
        log.info("Connected to %s as %s", self._url, self.state.agent_id)
        self._update(connected_since=self._clock(), last_error=None, attempts=0)
        try:
            await connection.serve(self._heartbeat)
        finally:
            self._update(connected_since=None)
            # A cloud that accepts the agent and then drops it at once counts as a failure, and the delay keeps growing.
            if loop.time() - start >= STABLE_SECONDS:
                self._backoff.reset()

    def _on_failure(self, cause: str) -> None:
        if cause not in self._logged:
            log.warning("The cloud link is down: %s", cause)
            self._logged.add(cause)
        self._update(last_error=cause, attempts=self.state.attempts + 1)

    def _update(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self._on_state(self.state)
