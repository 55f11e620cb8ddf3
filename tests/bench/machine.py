"""Describes the machine beside the figures: CPU, memory, kernel, disk with its fsync, and engine."""

from __future__ import annotations

import os
import platform
import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tests.bench import rows
from tests.support.command import run

PAGE = b"x" * 4096


def describe() -> str:
    """The machine in one paragraph."""
    cores, memory = os.cpu_count(), psutil.virtual_memory().total / 2**30
    with tempfile.TemporaryDirectory() as folder:
        file_system, fsync = _file_system(folder), rows.median([fsync_seconds(Path(folder)) for _ in range(50)])
    return (
        f"{datetime.now(UTC):%Y-%m-%d}: {_cpu()}, {cores} cores, {memory:.0f} GiB of memory; "
        f"Linux {platform.release()}; {file_system}, fsync of 4 kB {fsync.show(rows.MILLISECONDS)}; {_engine()}; "
        f"Python {platform.python_version()}. Load of other programs at the start: {os.getloadavg()[0]:.1f}."
    )


def fsync_seconds(folder: Path) -> float:
    """Seconds of appending 4 kB to a file in the folder and of its fsync."""
    with (folder / "fsync").open("ab", buffering=0) as file:
        began = time.perf_counter()
        file.write(PAGE)
        os.fsync(file.fileno())
        return time.perf_counter() - began


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _file_system(folder: str) -> str:
    kind, source = run("df", "--output=fstype,source", folder).stdout.splitlines()[1].split()
    return f"{kind} on {source}"


def _engine() -> str:
    return run("dockerd", "--version").stdout.strip().partition(",")[0]
