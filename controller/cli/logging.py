"""Logs of the service: one line a transition, for people or as JSON, with the runtime and command it is about."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

FIELDS = (
    "runtime", "command", "device", "topic",
    # of a write to the embedded API (apiserver/access/audit.py)
    "user", "impersonator", "verb", "resource", "object", "code", "dry_run", "milliseconds", "peer", "agent",
)  # fmt: skip
# Libraries that tell at INFO what we tell ourselves, or at every request.
QUIET = ("aiohttp.access", "engineio", "socketio", "kopf", "urllib3", "docker", "asyncio")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; an exception as text in ``exception``."""
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {field: str(getattr(record, field)) for field in FIELDS if hasattr(record, field)}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class ConsoleFormatter(logging.Formatter):
    """Time, level, message, and what it is about in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; an exception below it."""
        about = " ".join(f"{field}={getattr(record, field)}" for field in FIELDS if hasattr(record, field))
        line = f"{_time(record)} {record.levelname:<7} {record.getMessage()}{f' [{about}]' if about else ''}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up(form: str, level: str) -> None:
    """Send the log to standard error; called once, by the service."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
