"""Starts controllers as on a slow box: a quota of CPU from a cgroup, and fsyncs that take longer."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.section import Wrapper
from tests.support import ownership
from tests.support.command import run

PREFIX = "edge-bench-"
PERIOD_MICROSECONDS = 100_000
_V1, _V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
_SOURCE = Path(__file__).with_name("slow_fsync.c")
_ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


@contextlib.contextmanager
def slow_box(cores: float, fsync_milliseconds: int) -> Iterator[Wrapper]:
    """A wrapper for controllers, valid until the end of the context, when they have ended. Needs cc and root."""
    with tempfile.TemporaryDirectory() as folder, _quota(cores) as group:
        library = Path(folder) / "slow_fsync.so"
        run("cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl")
        environment = {"LD_PRELOAD": str(library), "EDGE_BENCH_FSYNC_MS": str(fsync_milliseconds)}
        yield Wrapper(("sh", "-c", _ENTER, str(group)), environment)


def remove_orphans() -> None:
    """Remove the cgroups of killed runs, whose controllers ended with them."""
    for group in (*_V1.glob(f"{PREFIX}*"), *_V2.glob(f"{PREFIX}*")):
        if ownership.is_orphan(group.name, PREFIX):
            group.rmdir()


@contextlib.contextmanager
def _quota(cores: float) -> Iterator[Path]:
    """A cgroup with this quota, on cgroup v1 or v2."""
    quota, name = int(cores * PERIOD_MICROSECONDS), ownership.new_name(PREFIX)
    is_v2 = (_V2 / "cgroup.controllers").exists()
    group = (_V2 if is_v2 else _V1) / name
    if is_v2:
        (_V2 / "cgroup.subtree_control").write_text("+cpu")
    group.mkdir()
    try:
        if is_v2:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_MICROSECONDS}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        yield group
    finally:
        group.rmdir()


def available() -> bool:
    """Whether this machine has what a slow box needs."""
    return shutil.which("cc") is not None and (_V1.is_dir() or (_V2 / "cgroup.controllers").exists())
