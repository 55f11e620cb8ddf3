"""The clock that nobody sets: seconds since the host was booted (CLOCK_BOOTTIME), and which of its boots this is.

It goes on while the machine sleeps, and is the same for all processes of the host. Whatever paces, retries, expires
or explains takes differences of this one; the time of day is for people, and jumps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STEP_SECONDS = 60  # what NTP corrects between two looks is far less
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def now() -> float:
    """Seconds since the host was booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Boot:
    """One boot of a host, "" where none is told apart, and the seconds since then."""

    id: str = ""
    elapsed: Callable[[], float] = now


def current() -> Boot:
    """The boot that we run in."""
    return Boot(BOOT_ID.read_text().strip())


class Steps:
    """Notices when the time of day is set; ``clock`` is that, ``elapsed`` is never set. Both in seconds."""

    def __init__(self, clock: Callable[[], float], elapsed: Callable[[], float]) -> None:
        self._clock = clock
        self._elapsed = elapsed
        self.booted_at = clock() - elapsed()  # when the host was booted, by the time of day

    def look(self) -> int:
        """By how many seconds it was set since the last look; less than a minute is none."""
        before, self.booted_at = self.booted_at, self._clock() - self._elapsed()
        step = round(self.booted_at - before)
        return step if abs(step) >= STEP_SECONDS else 0


def start_ticks(pid: int, proc: Path = Path("/proc")) -> int:
    """When the process started, in clock ticks since boot (proc(5): field 22 of stat).

    Raises OSError, ValueError and IndexError when there is none.
    """
    # The command, field 2, is in parentheses; a program gives itself any, with parentheses and bytes that are no text.
    fields = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[19])


def process_start(pid: int, proc: Path = Path("/proc")) -> float | None:
    """When the process started, in seconds since boot; None when there is no such process."""
    try:
        seconds = start_ticks(pid, proc) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    return seconds if seconds <= now() + 1 else None  # it began before the boot of our time namespace
