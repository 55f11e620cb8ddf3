"""A runtime before and after its container stopped and started, and the records that result."""

from __future__ import annotations

from typing import Any

from controller.api.runtime_status import RuntimeStatus
from controller.backends.observation import Observed
from controller.runtimes import restarts
from controller.runtimes.restart_context import RestartContext

FIRST = "2026-01-01T10:00:00.5Z"
BEFORE_LAST = "2026-01-01T09:59:00Z"
ENDED = "2026-01-01T10:59:00Z"
SECOND = "2026-01-01T11:00:00.123456789Z"
AT_ELEVEN = 1_767_265_200.0
UP = 7200.0  # seconds from the boot of the host to eleven o'clock


def before(**values: Any) -> RuntimeStatus:
    """The status while it ran in container c1."""
    known: dict[str, Any] = {"started_at": FIRST, "container_id": "c1", "finished_at": BEFORE_LAST, "state": "Running"}
    known |= {"boot_id": "this", "started_seconds": int(UP) - 3600}
    return RuntimeStatus(**({**known, "restart_count": 4} | values))


def restarted(**values: Any) -> Observed:
    """The same container after it exited with 3 and started again."""
    known: dict[str, Any] = {
        "state": "running",
        "started_at": SECOND,
        "container_id": "c1",
        "finished_at": ENDED,
        "exit_code": 3,
        "started_seconds": UP,
    }
    return Observed(**(known | values))


def exited(**values: Any) -> Observed:
    """The same container after it exited, not started again."""
    return restarted(**({"state": "exited", "started_at": FIRST, "started_seconds": None} | values))


def new_records(previous: RuntimeStatus, observed: Observed, **context: Any) -> list[tuple[str, str, str]]:
    """The new records, as event, cause and detail."""
    known: dict[str, Any] = {"boot_id": "this", "elapsed": UP + 1}
    records = restarts.history(previous, observed, RestartContext(**(known | context))).records
    return [(record.event, record.cause, record.detail) for record in records[len(previous.restarts) :]]


def both(cause: str, detail: str) -> list[tuple[str, str, str]]:
    """A stop and a start with the same cause."""
    return [("Stopped", cause, detail), ("Started", cause, detail)]
