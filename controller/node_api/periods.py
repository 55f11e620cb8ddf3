"""Parses the periods of the consumption topics (fields ``cpuPeriod`` and ``memoryPeriod``).

    "30m" "1h" "48h" "2d"       the last minutes, hours, days
    "3600"                      the last seconds
    "1732200000,1732203600"     from the first to the second Unix time, in seconds

Parsing reads no clock, so that validation does not depend on the time of day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNIT_SECONDS = {"": 1, "m": 60, "h": 3600, "d": 86400}
# The number of digits is bounded, so that arithmetic and JSON can handle every number.
_LAST = re.compile(r"([0-9]{1,9})([mhd]?)")
_BETWEEN = re.compile(r"([0-9]{1,11}(?:\.[0-9]{1,9})?),([0-9]{1,11}(?:\.[0-9]{1,9})?)")


@dataclass(frozen=True)
class Last:
    """The last ``seconds`` before the query is answered."""

    seconds: int


@dataclass(frozen=True)
class Between:
    """From ``start`` to ``end`` in Unix seconds, both inclusive."""

    start: float
    end: float


Period = Last | Between


def parse(text: str) -> Period:
    """Parse one period; raises ValueError with a sentence for the sender if it is malformed."""
    if match := _LAST.fullmatch(text):
        seconds = int(match[1]) * _UNIT_SECONDS[match[2]]
        if seconds == 0:
            raise ValueError("a period must be longer than zero")
        return Last(seconds)
    if match := _BETWEEN.fullmatch(text):
        start, end = float(match[1]), float(match[2])
        if start > end:
            raise ValueError("a period must not end before it starts")
        return Between(start, end)
    raise ValueError('a period is "30m", "1h", "2d", a number of seconds, or "<start>,<end>" in Unix seconds')


def bounds(period: Period, now: float) -> tuple[float, float]:
    """The start and end of a period in Unix time; ``now`` is the time of the answer."""
    if isinstance(period, Last):
        return now - period.seconds, now
    return period.start, period.end
