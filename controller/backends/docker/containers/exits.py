"""Remembers each container's last exit from the engine's events, because the engine forgets it at the next start.

No I/O. Keeps one exit per container until the container is removed, so memory is bounded by their number. Labels of an
image can override attributes that the engine itself puts into an event, so only the name of an attribute is reliable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from controller.machinery import timestamps

REPORTED_SECONDS = 60.0  # longest time from an exit to its event, by the engine's clock
_BYTE = re.compile(r"[0-9]{1,3}", re.ASCII)
KILLED = 137  # 128 + SIGKILL, which the kernel's OOM killer sends


class ContainerExit(NamedTuple):
    """One exit of a program; ``at`` as RFC 3339."""

    at: str
    exit_code: int
    out_of_memory: bool


class ContainerExits:
    """The exits, from the events ``oom``, ``die``, ``start`` and ``destroy`` of one engine."""

    def __init__(self) -> None:
        self._last: dict[str, ContainerExit] = {}
        self._out_of_memory: set[str] = set()

    def note(self, event: dict[str, Any]) -> None:
        """Take an event of a container of ours."""
        container, attributes = str(event["Actor"]["ID"]), event["Actor"].get("Attributes") or {}
        match event.get("Action"):
            case "oom":
                self._out_of_memory.add(container)
            case "die":
                # Without a readable code this exit is unknown; the previous one must not stand for it.
                self._last.pop(container, None)
                if (code := _exit_code(attributes)) is not None:
                    # An oom event may concern another process of the container: alone it does not explain this exit.
                    killed = container in self._out_of_memory and code == KILLED
                    self._last[container] = ContainerExit(_time(event), code, killed)
            case "start":
                self._out_of_memory.discard(container)
            case "destroy":
                self._out_of_memory.discard(container)
                self._last.pop(container, None)

    def of(self, container: str, finished_at: str) -> ContainerExit | None:
        """The exit that happened at that time, None when unknown.

        An event follows its exit within REPORTED_SECONDS; outside of that it belongs to an earlier exit.
        """
        last, finished = self._last.get(container), timestamps.seconds(finished_at)
        last_time = timestamps.seconds(last.at) if last else None
        return (
            last
            if last_time is not None and finished is not None and 0 <= last_time - finished < REPORTED_SECONDS
            else None
        )


def _exit_code(attributes: Mapping[str, Any]) -> int | None:
    """The exit code, None when it is not one (wait(2): a byte)."""
    text = str(attributes.get("exitCode", ""))
    return int(text) if _BYTE.fullmatch(text) and int(text) < 256 else None


def _time(event: dict[str, Any]) -> str:
    # Rounded up: cut to microseconds it could precede FinishedAt, which has nanoseconds.
    return timestamps.rfc3339_micro(int(event.get("timeNano") or 0) / 1e9 + 1e-6)
