"""What a run finds, and what it counts. Both are printed at once, so that an interrupted run has reported them, too."""

from __future__ import annotations

import sys
import time
from collections import Counter

KEPT = 200  # findings; more are only counted


class Findings:
    """Faults of the controller with the second of the run, and counts of what was done to it."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()
        self._began = time.monotonic()

    def fault(self, text: str) -> None:
        """Record that the controller broke a promise."""
        self.counts["findings"] += 1
        if len(self.faults) < KEPT:
            self.faults.append(f"{self._at()}: {text}")
        self.say(f"FAULT {text}")

    def count(self, what: str, more: int = 1) -> None:
        """Count what was done."""
        self.counts[what] += more

    def say(self, text: str) -> None:
        """Print progress."""
        print(f"# {self._at()} {text}", file=sys.stderr, flush=True)

    def _at(self) -> str:
        return f"{time.monotonic() - self._began:6.0f} s"
