"""How much the benchmark measures: in full, or just enough to try a section."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Numbers of rounds and objects, and seconds of observation."""

    rounds: int = 15  # creations, starts and stops, plugs: each takes a good part of a second
    commands: int = 100  # forwarded requests, and writes of the API, times two
    starts: int = 7  # of the controller
    runtimes: int = 20
    idle_seconds: float = 120
    leased: int = 50
    leased_seconds: float = 60
    healed: int = 50
    hundreds: int = 200
    heartbeat_seconds: float = 60
    objects: int = 1000
    cycles: int = 100  # creates and deletes of the leak check
    failovers: int = 3
    pods: int = 10


FULL = Counts()
QUICK = Counts(
    rounds=3,
    commands=10,
    starts=2,
    runtimes=3,
    idle_seconds=10,
    leased=5,
    leased_seconds=10,
    healed=4,
    hundreds=8,
    heartbeat_seconds=15,
    objects=50,
    cycles=8,
    failovers=1,
    pods=1,
)
