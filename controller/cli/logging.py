"""Logging of the service: one line per transition, for people or as JSON, with the runtime and command concerned.

Records contain what clients send (paths, names, user agents), which must neither forge an entry nor fill the disk:
unprintable characters are escaped, long texts are cut, and records that anonymous clients cause are rate limited.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

FIELDS = (
    "runtime", "command", "device", "topic",
    # of a write to the embedded API (apiserver/access/audit.py)
    "user", "impersonator", "verb", "resource", "object", "code", "dry_run", "milliseconds", "peer", "agent",
    "held_back",
)  # fmt: skip
# Libraries that tell at INFO what we tell ourselves, or at every request.
QUIET = ("aiohttp.access", "engineio", "socketio", "kopf", "urllib3", "docker", "asyncio")
CLOUD = ("controller.cloud.answers", "controller.cloud.dispatcher")  # tell of each command that is refused
ANONYMOUS = "system:anonymous"  # who gives no proof to the embedded API
PACE_SECONDS = 60.0
REFUSALS = 20  # of one user that are logged in that time: who may only read must not fill the disk by trying to write
FORBIDDEN = 403
LONGEST = 4096  # characters of a message
LONGEST_FIELD = 512
_PLAIN = re.compile(r"[\w./:@+,-]*")


@dataclass
class _Window:
    """A minute of one kind: when it began, how many records it has seen, and the last of those it held back."""

    began: float
    seen: int = 0
    held: logging.LogRecord | None = None


class Paced(logging.Filter):
    """Lets the first records of a kind in a minute through, and tells how many it held back when the minute is over:
    with the next record, or by ``tell`` when there is none.
    """

    def __init__(
        self,
        kind_of: Callable[[logging.LogRecord], str | None],
        clock: Callable[[], float] = time.monotonic,
        most: int = 1,
    ) -> None:
        """``kind_of`` names the kind of a record; None is never held back. ``most``: records of a kind per minute."""
        super().__init__()
        self._kind_of = kind_of
        self._clock = clock
        self._most = most
        self._windows: dict[str, _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged now."""
        kind, now = self._kind_of(record), self._clock()
        if kind is None:
            return True
        window = self._windows.setdefault(kind, _Window(now))
        if now - window.began >= PACE_SECONDS:
            if window.held:
                record.held_back = window.seen - self._most
            window = self._windows[kind] = _Window(now)
        window.seen += 1
        if window.seen <= self._most:
            return True
        window.held = record
        return False

    def tell(self) -> None:
        """Log the last record that was held back in each minute that is over, with the number of those before it."""
        now = self._clock()
        over = [kind for kind, window in self._windows.items() if now - window.began >= PACE_SECONDS]
        for window in map(self._windows.pop, over):
            if record := window.held:
                record.held_back = window.seen - self._most - 1
                logging.getLogger(record.name).callHandlers(record)


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; an exception as text in ``exception``."""
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _cut(record.getMessage(), LONGEST),
        }
        entry |= {name: _cut(str(getattr(record, name)), LONGEST_FIELD) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)  # ASCII only: no character can end a line or change the text direction


class ConsoleFormatter(logging.Formatter):
    """Time, level, message, and the fields in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; the lines of an exception follow, indented so that they cannot pass for entries."""
        about = " ".join(f"{name}={_field(getattr(record, name))}" for name in FIELDS if hasattr(record, name))
        message = printable(_cut(record.getMessage(), LONGEST))
        line = f"{_time(record)} {record.levelname:<7} {message}{f' [{about}]' if about else ''}"
        if not record.exc_info:
            return line
        lines = self.formatException(record.exc_info).split("\n")
        return "\n".join((line, *(f"    {printable(below)}" for below in lines)))


def printable(text: str) -> str:
    """The text on one line: control characters, line breaks and direction marks are escaped as in Python."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def set_up(form: str, level: str) -> list[Paced]:
    """Send the log to standard error; called once, by the service, which runs ``tell_held_back`` of the result."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    return pace()


def pace() -> list[Paced]:
    """Bound what others can cause as often as they like."""
    # Whoever reaches a port can cause these without a proof of who it is.
    strangers, anonymous = Paced(lambda record: str(record.msg)), Paced(_anonymous)
    refused = Paced(refused_to, most=REFUSALS)
    cloud = Paced(lambda record: str(record.msg), most=REFUSALS)
    for name in CLOUD:
        logging.getLogger(name).addFilter(cloud)
    logging.getLogger("aiohttp.server").addFilter(strangers)
    logging.getLogger("edge.audit").addFilter(anonymous)
    logging.getLogger("edge.audit").addFilter(refused)
    return [strangers, anonymous, refused, cloud]


async def tell_held_back(paced: Iterable[Paced]) -> None:
    """Tell of what was held back when its minute is over, until cancelled."""
    while True:
        await asyncio.sleep(PACE_SECONDS / 4)
        for each in paced:
            each.tell()


def _anonymous(record: logging.LogRecord) -> str | None:
    return ANONYMOUS if getattr(record, "user", "") == ANONYMOUS else None


def refused_to(record: logging.LogRecord) -> str | None:
    """The user whose write was refused; an impersonator counts as itself."""
    user = str(getattr(record, "impersonator", "") or getattr(record, "user", ""))
    return user if getattr(record, "code", 0) == FORBIDDEN and user != ANONYMOUS else None


def _field(value: object) -> str:
    """A value, quoted if needed, so that its end is unambiguous."""
    text = _cut(str(value), LONGEST_FIELD)
    return text if _PLAIN.fullmatch(text) else printable(json.dumps(text, ensure_ascii=False))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
