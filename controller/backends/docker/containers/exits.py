"""How the containers' last runs ended, as the engine's events told: it forgets that at the next start. No I/O.

Bounded by the number of containers: one ending of each, forgotten when the container is removed. An engine lets the
labels of an image take the place of what it tells itself, so nothing in an event but the name is certain to be its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from controller.machinery import timestamps

REPORTED_SECONDS = 60.0  # by the engine's clock, from an end to its event
_BYTE = re.compile(r"[0-9]{1,3}", re.ASCII)
KILLED = 137  # 128 + SIGKILL: how the kernel ends a program for lack of memory


class ContainerExit(NamedTuple):
    """One end of a program; ``at`` as RFC 3339."""

    at: str
    exit_code: int
    out_of_memory: bool


class ContainerExits:
    """Told by the events ``oom``, ``die``, ``start`` and ``destroy`` of one engine."""

    def __init__(self) -> None:
        self._last: dict[str, ContainerExit] = {}
        self._short_of_memory: set[str] = set()

    def note(self, event: dict[str, Any]) -> None:
        """An event of a container of ours arrived."""
        container, attributes = str(event["Actor"]["ID"]), event["Actor"].get("Attributes") or {}
        match event.get("Action"):
            case "oom":
                self._short_of_memory.add(container)
            case "die":
                self._last.pop(container, None)
                if (code := _exit_code(attributes)) is not None:
                    killed = container in self._short_of_memory and code == KILLED
                    self._last[container] = ContainerExit(_time(event), code, killed)
            case "start":
                self._short_of_memory.discard(container)
            case "destroy":
                self._short_of_memory.discard(container)
                self._last.pop(container, None)

    def of(self, container: str, finished_at: str) -> ContainerExit | None:
        """The end at that time. An event is told right after its end; any other is of an end before."""
        last, finished = self._last.get(container), timestamps.seconds(finished_at)
        last_time = timestamps.seconds(last.at) if last else None
        return (
            last
            if last_time is not None and finished is not None and 0 <= last_time - finished < REPORTED_SECONDS
            else None
        )


def _exit_code(attributes: Mapping[str, Any]) -> int | None:
    """None for what no exit code is (wait(2): a byte)."""
    text = str(attributes.get("exitCode", ""))
    return int(text) if _BYTE.fullmatch(text) and int(text) < 256 else None


def _time(event: dict[str, Any]) -> str:
    return timestamps.rfc3339_micro(int(event.get("timeNano") or 0) / 1e9 + 1e-6)
