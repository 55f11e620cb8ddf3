"""The clock that is never set: seconds since the host booted (CLOCK_BOOTTIME), and the id of the current boot.

It keeps running while the machine sleeps and is the same for all processes of the host. Use it for every interval,
retry and expiry; the time of day is for people, and jumps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STEP_SECONDS = 60  # far more than NTP corrects between two checks
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def now() -> float:
    """Return the seconds since the host booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Boot:
    """One boot of a host, with id "" where boots are not distinguished, and the seconds since then."""

    id: str = ""
    elapsed: Callable[[], float] = now


def current() -> Boot:
    """Return the current boot."""
    return Boot(BOOT_ID.read_text().strip())


class ClockStepDetector:
    """Detects that the time of day (``clock``) was set, by comparison with ``elapsed``. Both in seconds."""

    def __init__(self, clock: Callable[[], float], elapsed: Callable[[], float]) -> None:
        self._clock = clock
        self._elapsed = elapsed
        self.booted_at = clock() - elapsed()  # boot time by the time of day

    def detect(self) -> int:
        """Return the seconds by which the clock was set since the last call; less than a minute counts as 0."""
        # Compared with the last call, so that NTP's small corrections never add up to a step.
        before, self.booted_at = self.booted_at, self._clock() - self._elapsed()
        step = round(self.booted_at - before)
        return step if abs(step) >= STEP_SECONDS else 0


def start_ticks(pid: int, proc: Path = Path("/proc")) -> int:
    """Return the start time of a process in clock ticks since boot (proc(5): field 22 of stat).

    Raises OSError, ValueError or IndexError when there is no such process.
    """
    # The command, field 2, is in parentheses; a program can set it to any bytes, including parentheses.
    fields = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[19])


def process_start(pid: int, proc: Path = Path("/proc")) -> float | None:
    """Return the start time of a process in seconds since boot, None when there is no such process."""
    try:
        seconds = start_ticks(pid, proc) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    return seconds if seconds <= now() + 1 else None  # it started before the boot of our time namespace
