"""Functions of timestamps and durations (language definition: Timestamp, Duration)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from controller.apiserver.schemas.cel.failures import EvaluationError
from controller.apiserver.schemas.cel.meter import Meter

# fromisoformat alone is too wide: it also reads dates of weeks and times without a zone.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)")
_OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)")
# Bounded repetitions: float() of a long text of digits takes time, and rules pay only a fixed cost for it.
_PART = r"(\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"[+-]?(?:0|(?:{_PART}){{1,16}})")
_PARTS = re.compile(_PART)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def timestamp_of(text: str) -> datetime:
    """Parse an RFC 3339 timestamp. Raises EvaluationError."""
    try:
        if len(text) <= 40 and _TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise EvaluationError(f"cannot convert '{text[:40]}' to timestamp")


def duration_of(text: str) -> timedelta:
    """Parse a duration in Go's format. Raises EvaluationError."""
    if len(text) > 400 or not _DURATION.fullmatch(text):
        raise EvaluationError(f"cannot convert '{text[:40]}' to duration")
    seconds = sum(float(amount) * _SECONDS[unit] for amount, unit in _PARTS.findall(text))
    if seconds > 1 << 33:  # 2^33 s = 272 years; Go's int64 of nanoseconds ends at 292
        raise EvaluationError("duration out of range")
    return timedelta(seconds=-seconds if text.startswith("-") else seconds)


def _timestamp(meter: Meter, value: Any) -> datetime:
    meter.charge(4)
    if type(value) is str:
        return timestamp_of(value)
    if type(value) is int:
        return datetime.fromtimestamp(value, UTC)
    if type(value) is not datetime:
        raise TypeError
    return value


def _duration(meter: Meter, value: Any) -> timedelta:
    meter.charge(4)
    if type(value) is str:
        return duration_of(value)
    if type(value) is not timedelta:
        raise TypeError
    return value


def _zone(name: str) -> tzinfo:
    if found := _OFFSET.fullmatch(name):
        minutes = int(found[2]) * 60 + int(found[3])
        return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
    try:
        # Cut: the name comes from a rule or an object and becomes a path of the zone database.
        return ZoneInfo(name[:64])
    except (OSError, ValueError, KeyError) as error:
        raise EvaluationError(f"unknown time zone {name[:40]}") from error


def _part(read: Callable[[datetime], int], within: int = 0) -> Callable[..., int]:
    """A function that reads a part of a timestamp.

    With ``within`` (microseconds), it also accepts a duration and returns how many of these units it has.
    """

    def part(meter: Meter, value: Any, zone: str = "") -> int:
        del meter
        if type(value) is timedelta and within and not zone:
            return (
                int(value / timedelta(microseconds=1)) // within
                # Towards zero, as Go divides; // alone rounds a negative duration down.
                if value >= timedelta()
                else -(int(-value / timedelta(microseconds=1)) // within)
            )
        if type(value) is not datetime:
            raise TypeError
        return read(value.astimezone(_zone(zone) if zone else UTC))

    return part


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "duration": _duration,
    "getDate": _part(lambda time: time.day),
    # CEL counts days and months from 0; only getDate counts from 1.
    "getDayOfMonth": _part(lambda time: time.day - 1),
    # CEL's week begins with Sunday, which is 0.
    "getDayOfWeek": _part(lambda time: time.isoweekday() % 7),
    "getDayOfYear": _part(lambda time: time.timetuple().tm_yday - 1),
    "getFullYear": _part(lambda time: time.year),
    "getHours": _part(lambda time: time.hour, 3_600_000_000),
    "getMilliseconds": _part(lambda time: time.microsecond // 1000, 1000),
    "getMinutes": _part(lambda time: time.minute, 60_000_000),
    "getMonth": _part(lambda time: time.month - 1),
    "getSeconds": _part(lambda time: time.second, 1_000_000),
    "timestamp": _timestamp,
}
