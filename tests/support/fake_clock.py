"""Sets the time of day of a running program with libfaketime; monotonic clocks are unaffected."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from tests.support import requirements

_LIBRARY = "faketime/libfaketimeMT.so.1"


class FakeClock:
    """``wrapper`` is put before the program's command; the program starts with the real time."""

    def __init__(self, folder: Path) -> None:
        requirements.programs("faketime")
        self._file = folder / "time-of-day"
        self.set(0)
        library = next(Path("/usr/lib").glob(f"*/{_LIBRARY}"))
        self.wrapper = (
            "env",
            f"LD_PRELOAD={library}",
            f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        )

    def set(self, seconds: float) -> None:
        """Set the offset from the real time."""
        made = self._file.with_suffix(".new")
        made.write_text(f"{seconds:+.0f}\n")
        made.replace(self._file)

    def set_to(self, year: int) -> None:
        """Set the time to shortly after the start of that year."""
        self.set(datetime(year, 1, 1, 0, 1, tzinfo=UTC).timestamp() - time.time())
