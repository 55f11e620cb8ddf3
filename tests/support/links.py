"""A cloud link that runs as a task and records its states."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from controller.cloud.dispatcher import MAX_IN_FLIGHT, Dispatcher
from controller.cloud.heartbeat import Heartbeat
from controller.cloud.identity import Identity
from controller.cloud.link import Link, LinkState
from controller.cloud.packets import Incoming
from controller.machinery.backoff import Backoff

Dispatch = Callable[[str, list[Any]], Awaitable[dict[str, Any]]]

SECONDS = 30  # only ends a test that hangs


async def echo(event: str, arguments: list[Any]) -> dict[str, Any]:
    """Answers with the arguments it received."""
    first = arguments[0] if arguments and isinstance(arguments[0], dict) else {}
    return {"action": event, "correlation_id": first.get("correlation_id"), "arguments": arguments}


def figures(agent_id: str) -> dict[str, Any]:
    """The payload of a heartbeat."""
    return {"agent_id": agent_id, "status": "online"}


def identity_in(folder: Path) -> Callable[[], Identity]:
    """A function that loads client.crt, client.key and ca.crt from ``folder``."""
    return lambda: Identity.load(folder / "client.crt", folder / "client.key", folder / "ca.crt")


class FakeDispatcher(Dispatcher):
    """Routes every event to a function instead of a topic; the rest is the product's."""

    def __init__(self, dispatch: Dispatch, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        unused: Any = None
        super().__init__((), unused, "lenient", lambda *_: None, max_in_flight)
        self._dispatch = dispatch

    async def _route(self, event: Incoming) -> dict[str, Any]:
        return await self._dispatch(event.name, event.arguments)


class RunningLink:
    """A running link, as an async context manager; ``states`` are all states it reported."""

    def __init__(
        self,
        url: str,
        load_identity: Callable[[], Identity],
        dispatch: Dispatch | Dispatcher = echo,
        *,
        interval: float = 0.2,
        connect_seconds: float = 20,
    ) -> None:
        self.states: list[LinkState] = []
        self._changed = asyncio.Condition()
        self.link = Link(
            url,
            load_identity,
            dispatch if isinstance(dispatch, Dispatcher) else FakeDispatcher(dispatch),
            Heartbeat(figures, interval),
            self._on_state,
            backoff=Backoff(0.01, 0.02),
            connect_seconds=connect_seconds,
        )

    async def __aenter__(self) -> RunningLink:
        self._task = asyncio.create_task(self.link.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.link.stop()

    @property
    def connections(self) -> int:
        """How many times the link has connected."""
        return sum(later.connected and not before.connected for before, later in pairwise(self.states))

    async def connected(self, times: int = 1) -> LinkState:
        """Wait until the link has connected ``times`` times."""
        return await self.until(lambda state: state.connected and self.connections >= times)

    async def failed(self) -> str:
        """Wait until an attempt fails and return its error."""
        return str((await self.until(lambda state: state.attempts > 0)).last_error)

    async def until(self, fits: Callable[[LinkState], Any]) -> LinkState:
        """Wait until the state satisfies ``fits``."""
        async with asyncio.timeout(SECONDS):
            while not fits(self.link.state):
                await self._next()
        return self.link.state

    async def _next(self) -> None:
        async with self._changed:
            await self._changed.wait()

    def _on_state(self, state: LinkState) -> None:
        self.states.append(state)
        self._notification = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
