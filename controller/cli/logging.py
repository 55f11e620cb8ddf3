"""Logging of the service: one line per transition, for people or as JSON, with the runtime and command concerned.

Records contain what clients send (paths, names, user agents), which must neither forge an entry nor fill the disk:
unprintable characters are escaped, long texts are cut, and records that anonymous clients cause are rate limited.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from controller.machinery.controller import Controller

FIELDS = (
    "runtime", "command", "device", "topic",
    # of a write to the embedded API (apiserver/access/audit.py)
    "user", "impersonator", "verb", "resource", "object", "code", "dry_run", "milliseconds", "peer", "agent",
    "held_back",
)  # fmt: skip
# Libraries that log at INFO what this project logs itself, or every request.
QUIET = ("aiohttp.access", "engineio", "socketio", "kopf", "urllib3", "docker", "asyncio")
CLOUD = "controller.cloud.dispatcher"  # logs every refused event
NODE = "controller.nodes.cluster.node_server"  # logs every refused caller
ANONYMOUS = "system:anonymous"  # the user name of unauthenticated clients of the embedded API
WINDOW_SECONDS = 60.0
MAX_REFUSALS = 20  # logged per user and window, so that a read-only user cannot fill the disk by trying to write
FORBIDDEN = 403
MAX_LENGTH = 4096  # characters of a message
MAX_FIELD_LENGTH = 512
_PLAIN = re.compile(r"[\w./:@+,-]*")


@dataclass
class _Window:
    """The current minute of one kind: its start, the number of records, and the last suppressed one."""

    start: float
    seen: int = 0
    held: logging.LogRecord | None = None


class RateLimit(logging.Filter):
    """Passes the first records of each kind per minute and suppresses the rest.

    The number of suppressed records is logged after the minute, with the next record or by ``flush``.
    """

    def __init__(
        self,
        kind_of: Callable[[logging.LogRecord], str | None],
        clock: Callable[[], float] = time.monotonic,
        limit: int = 1,
    ) -> None:
        """``kind_of`` returns a kind, or None to always pass the record; ``limit`` is per kind and minute."""
        super().__init__()
        self._kind_of = kind_of
        self._clock = clock
        self._limit = limit
        self._windows: dict[str, _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log the record now."""
        kind, now = self._kind_of(record), self._clock()
        if kind is None:
            return True
        window = self._windows.setdefault(kind, _Window(now))
        if now - window.start >= WINDOW_SECONDS:
            if window.held:
                # This record takes the place of the suppressed ones, so all of them count.
                record.held_back = window.seen - self._limit
            window = self._windows[kind] = _Window(now)
        window.seen += 1
        if window.seen <= self._limit:
            return True
        window.held = record
        return False

    def flush(self) -> None:
        """For each minute that is over, log the last suppressed record with the number of those before it."""
        now = self._clock()
        # Dropping them also bounds the memory, as each user is a kind.
        over = [kind for kind, window in self._windows.items() if now - window.start >= WINDOW_SECONDS]
        for window in map(self._windows.pop, over):
            if record := window.held:
                # Without the record itself, which is logged now; handle() would pass it to this filter again.
                record.held_back = window.seen - self._limit - 1
                logging.getLogger(record.name).callHandlers(record)


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; an exception as text in ``exception``."""
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _cut(record.getMessage(), MAX_LENGTH),
        }
        entry |= {name: _cut(str(getattr(record, name)), MAX_FIELD_LENGTH) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)  # ASCII only: no character can end a line or change the text direction


class ConsoleFormatter(logging.Formatter):
    """Time, level, message, and the fields in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, followed by the lines of an exception, indented so that they cannot imitate entries."""
        about = " ".join(f"{name}={_field(getattr(record, name))}" for name in FIELDS if hasattr(record, name))
        message = printable(_cut(record.getMessage(), MAX_LENGTH))
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


def set_up(form: str, level: str) -> list[RateLimit]:
    """Log to standard error. Called once, by the service, which passes the result to ``flush_periodically``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    return rate_limit()


def rate_limit() -> list[RateLimit]:
    """Add rate limits to records that others can cause at will."""
    # Anyone who reaches a port can cause these without authentication.
    # By template, not text: a text contains what the client sent, and each would be a kind with its own limit.
    unauthenticated, anonymous = RateLimit(lambda record: str(record.msg)), RateLimit(_anonymous)
    refused = RateLimit(refused_to, limit=MAX_REFUSALS)
    cloud = RateLimit(lambda record: str(record.msg), limit=MAX_REFUSALS)
    logging.getLogger(CLOUD).addFilter(cloud)
    for open_to_all in ("aiohttp.server", NODE):
        logging.getLogger(open_to_all).addFilter(unauthenticated)
    logging.getLogger("edge.audit").addFilter(anonymous)
    logging.getLogger("edge.audit").addFilter(refused)
    return [unauthenticated, anonymous, refused, cloud]


async def flush_periodically(limits: Iterable[RateLimit]) -> None:
    """Log suppressed records after each minute, until cancelled."""
    limits = list(limits)

    async def flush() -> None:
        for each in limits:
            each.flush()

    await Controller("log the number of suppressed records", flush, period=WINDOW_SECONDS / 4).run()


def _anonymous(record: logging.LogRecord) -> str | None:
    return ANONYMOUS if getattr(record, "user", "") == ANONYMOUS else None


def refused_to(record: logging.LogRecord) -> str | None:
    """The user whose write was refused; an impersonator counts as itself."""
    # Otherwise each user that somebody impersonates would add another limit. Anonymous ones have their own.
    user = str(getattr(record, "impersonator", "") or getattr(record, "user", ""))
    return user if getattr(record, "code", 0) == FORBIDDEN and user != ANONYMOUS else None


def _field(value: object) -> str:
    """A value, quoted if needed, so that its end is unambiguous."""
    text = _cut(str(value), MAX_FIELD_LENGTH)
    return text if _PLAIN.fullmatch(text) else printable(json.dumps(text, ensure_ascii=False))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
