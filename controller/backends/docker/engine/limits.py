"""Timeouts and concurrency limits for calls to the engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineLimits:
    """Read timeouts in seconds, and the number of concurrent calls of each kind.

    A stop may take its grace period plus ``change_seconds``. ``ping_seconds``: an engine that does not answer a ping
    within this time is unreachable. ``pull_seconds``: how long a registry may be silent. ``probe_seconds``: the first
    and the longest pause between pings of an unreachable engine. ``settle_seconds``: how long an engine that is back
    gets to carry out earlier calls. ``pulls`` is how many images are pulled at once.
    """

    ping_seconds: int = 5
    query_seconds: int = 20
    change_seconds: int = 120
    pull_seconds: int = 300
    probe_seconds: tuple[float, float] = (0.1, 5.0)
    settle_seconds: float = 0.5
    queries: int = 16
    changes: int = 16
    stops: int = 32
    logs: int = 16
    pulls: int = 4


LIMITS = EngineLimits()
