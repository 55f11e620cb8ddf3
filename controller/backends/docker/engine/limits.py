"""How long the engine may take and how much is asked of it at once: the one place for these numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineLimits:
    """Times in seconds, of silence on the connection; a stop has its grace period on top of ``change_seconds``.

    ``ping_seconds``: an engine that does not answer a ping for so long does not answer at all. ``pull_seconds``: how
    long a registry may send nothing. ``probe_seconds``: the first and the longest pause between two pings while it
    does not answer. ``settle_seconds``: how long it is given, once it answers again, to carry out what it was asked
    before. The numbers are calls of a kind at once; ``pulls`` is how many images are pulled at once.
    """

    ping_seconds: int = 5
    question_seconds: int = 20
    change_seconds: int = 120
    pull_seconds: int = 300
    probe_seconds: tuple[float, float] = (0.1, 5.0)
    settle_seconds: float = 0.5
    questions: int = 16
    changes: int = 16
    stops: int = 32
    logs: int = 16
    pulls: int = 4


LIMITS = EngineLimits()
