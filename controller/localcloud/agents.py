"""Registry of the local cloud's agents, their connections and latest heartbeats. No I/O."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# Per agent: more than two and a half hours, each with 500 bytes. A single one may have a megabyte.
KEPT_HEARTBEATS, KEPT_BYTES = 2000, 1 << 20


class Heartbeat(NamedTuple):
    """One heartbeat: its time of arrival (Unix seconds) and payload."""

    received: float
    payload: Any


class Heartbeats:
    """The last heartbeats of an agent: at most KEPT_HEARTBEATS, and KEPT_BYTES unless the last one is larger."""

    def __init__(self) -> None:
        self._kept: deque[tuple[Heartbeat, int]] = deque()
        self._bytes = 0

    def append(self, beat: Heartbeat) -> None:
        """Keep a heartbeat, and drop the oldest ones that are too many."""
        size = len(repr(beat.payload))  # not as JSON, as it may contain bytes
        self._kept.append((beat, size))
        self._bytes += size
        while len(self._kept) > 1 and (len(self._kept) > KEPT_HEARTBEATS or self._bytes > KEPT_BYTES):
            self._bytes -= self._kept.popleft()[1]

    def all(self) -> list[Heartbeat]:
        """Return them, oldest first."""
        return [beat for beat, _ in self._kept]

    def last(self) -> Heartbeat | None:
        """Return the last one, None before the first."""
        return self._kept[-1][0] if self._kept else None


@dataclass(eq=False)
class Session:
    """One connection of an agent; ``gone`` is set when it ends."""

    sid: str
    since: float
    gone: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class Agent:
    """An agent; ``session`` is None while it is not connected."""

    common_name: str
    session: Session | None = None
    heartbeats: Heartbeats = field(default_factory=Heartbeats)


class Agents:
    """All agents that have connected since the cloud started, by common name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._agents: dict[str, Agent] = {}
        self._names: dict[str, str] = {}  # sid -> common name
        self._changed = asyncio.Condition()

    def all(self) -> list[Agent]:
        """Return all agents, sorted by name."""
        return [self._agents[name] for name in sorted(self._agents)]

    def heartbeats(self, common_name: str) -> list[Heartbeat]:
        """Return the agent's last heartbeats, oldest first."""
        agent = self._agents.get(common_name)
        return agent.heartbeats.all() if agent else []

    async def connected(self, common_name: str, sid: str) -> Session | None:
        """Record a new connection; return the one it replaces, if any."""
        agent = self._agents.setdefault(common_name, Agent(common_name))
        replaced = agent.session
        if replaced:
            replaced.gone.set()
        agent.session = Session(sid, self._clock())
        self._names[sid] = common_name
        await self._publish()
        return replaced

    def disconnected(self, sid: str) -> str | None:
        """Record the end of a connection; return its agent's name."""
        name = self._names.pop(sid, None)
        session = self._agents[name].session if name else None
        # A replaced connection ends after its successor has begun.
        if name and session and session.sid == sid:
            session.gone.set()
            self._agents[name].session = None
        return name

    async def beat(self, sid: str, payload: Any) -> None:
        """Record a heartbeat."""
        if name := self._names.get(sid):
            self._agents[name].heartbeats.append(Heartbeat(self._clock(), payload))
            await self._publish()

    async def wait(self, common_name: str) -> Session:
        """Wait for the agent's connection."""
        async with self._changed:
            while (session := self.session(common_name)) is None:
                await self._changed.wait()
        return session

    async def next_heartbeat(self, common_name: str) -> Heartbeat:
        """Wait for the agent's next heartbeat."""
        last = self.heartbeats(common_name)[-1:]
        async with self._changed:
            while (beats := self.heartbeats(common_name)[-1:]) == last:
                await self._changed.wait()
        return beats[0]

    def session(self, common_name: str) -> Session | None:
        """Return the agent's connection, None while it is not connected."""
        agent = self._agents.get(common_name)
        return agent.session if agent else None

    async def _publish(self) -> None:
        async with self._changed:
            self._changed.notify_all()
