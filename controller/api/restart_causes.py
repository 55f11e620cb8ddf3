"""The one table of causes of starts and stops (``Runtime.status.restarts``); docs/conditions.md is printed from it.

Causes are part of the API: people and alerts match on them, so none may ever be renamed. The controller's own start
or end is none of them.
"""

from __future__ import annotations

from typing import NamedTuple


class Cause(NamedTuple):
    """A cause, and what it tells a person."""

    name: str
    meaning: str


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
    Cause(REQUESTED, "The cloud or a person asked; the detail names topic and command, or the field of the spec."),
    Cause(SPEC_CHANGED, "The spec changed in a way that needs a new container; the detail names the fields."),
    Cause(CRASHED, "The program ended by itself; the detail tells its exit code."),
    Cause(OUT_OF_MEMORY, "The program was killed for lack of memory: raise spec.resources.memory."),
    Cause(PARENT_GONE, "The parent interface was missing: the program ended then, or could not start before."),
    Cause(DEVICE_GONE, "A serial device was missing: the program ended then, or waited for it."),
    Cause(HOST_STARTED, "The host went down and came up again."),
    Cause(DAEMON_RESTARTED, "Docker was stopped or restarted."),
    Cause(BY_HAND, "A person or another program did it with Docker's own means; what was stopped is started again."),
    Cause(UNKNOWN, "It happened while the controller was away, and nothing tells why."),
)


def table() -> str:
    """The causes as a Markdown table."""
    rows = ["| cause | meaning |", "| --- | --- |"]
    return "\n".join([*rows, *(f"| `{cause.name}` | {cause.meaning} |" for cause in TABLE)])
