"""The table of causes of starts and stops (``Runtime.status.restarts``); docs/conditions.md is generated from it.

Causes are part of the API: people and alerts match on them, so never rename one. Starting or stopping the controller
is not a cause, because it starts and stops no runtime.
"""

from __future__ import annotations

from typing import NamedTuple

from controller import names
from controller.api import reasons


class Cause(NamedTuple):
    """A cause and its meaning for a person.

    ``missing``: the program exited, or waited for its start, while the status had this condition False for this reason.
    """

    name: str
    meaning: str
    missing: tuple[str, str] | None = None  # type of the condition, reason


CREATED = "Created"
REQUESTED = "Requested"
SPEC_CHANGED = "SpecChanged"
CRASHED = "Crashed"
OUT_OF_MEMORY = "OutOfMemory"
PARENT_GONE = "ParentGone"
DEVICE_GONE = "DeviceGone"
HOST_STARTED = "HostStarted"
DAEMON_RESTARTED = "DaemonRestarted"
BY_HAND = "ByHand"
UNKNOWN = "Unknown"

TABLE: tuple[Cause, ...] = (
    Cause(CREATED, "The first start of the runtime."),
    Cause(
        REQUESTED,
        "The cloud or a person requested it; the detail names the topic and the command, or the field of the spec.",
    ),
    Cause(SPEC_CHANGED, "A change of the spec required a new container; the detail names the fields."),
    Cause(CRASHED, "The program exited unexpectedly; the detail has its exit code."),
    Cause(OUT_OF_MEMORY, "The program ran out of memory and was killed: raise spec.resources.memory."),
    Cause(
        PARENT_GONE,
        "The parent interface was missing: the program exited meanwhile, or waited for it to start.",
        missing=(names.NETWORK_ATTACHED, reasons.PARENT_MISSING),
    ),
    Cause(
        DEVICE_GONE,
        "A serial device was missing: the program exited meanwhile, or waited for it to start.",
        missing=(names.DEVICES_ATTACHED, reasons.DEVICE_MISSING),
    ),
    Cause(HOST_STARTED, "The host was rebooted or powered up."),
    Cause(DAEMON_RESTARTED, "Docker was stopped or restarted."),
    Cause(BY_HAND, "A person or another program used Docker directly; a runtime stopped this way is started again."),
    Cause(UNKNOWN, "It happened while the controller was not watching, and the cause left no trace."),
)

MISSING = {cause.missing: cause.name for cause in TABLE if cause.missing}
"""The causes of what was missing, by type of the condition and reason."""


def table() -> str:
    """Return the causes as a Markdown table."""
    rows = ["| cause | meaning |", "| --- | --- |"]
    return "\n".join([*rows, *(f"| `{cause.name}` | {cause.meaning} |" for cause in TABLE)])
