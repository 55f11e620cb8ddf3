"""Reads the host's usage and properties. Blocking: runs in the sampler's thread, never in an event loop."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import psutil
from pydantic import Field

from controller import boottime
from controller.metrics.disks import Disks

MIB = 1 << 20
GIB = 1 << 30

# The bounds are checked in what another node answers: one wrong number must not spoil the sums over all nodes.
Percent = Annotated[float, Field(ge=0, lt=101)]  # rounding may exceed 100
Size = Annotated[int, Field(ge=0, lt=1 << 60)]


class CpuTimes(NamedTuple):
    """Seconds that all cores together were busy and idle since boot."""

    busy: float
    idle: float


@dataclass(frozen=True)
class HostReading:
    """One reading: CPU in percent of all cores together (0-100), sizes in bytes, uptime in seconds."""

    cpu_percent: Percent
    memory_used: Size
    memory_total: Size
    disk_used: Size
    disk_total: Size
    uptime: Size


@dataclass(frozen=True)
class HostFacts:
    """Constant properties of the host: operating system, kernel release, number of logical cores."""

    os: str
    kernel: str
    cpu_count: int


class HostReader:
    """Reads the host's usage; CPU is averaged between two readings, and since boot for the first one."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks
        self._last = CpuTimes(0.0, 0.0)

    def read(self) -> HostReading:
        """Take one reading (about 0.2 ms)."""
        before, self._last = self._last, cpu_times()
        memory = psutil.virtual_memory()
        disk = self._disks.usage()
        return HostReading(
            cpu_percent=busy_percent(before, self._last),
            # MemAvailable is the kernel's own estimate of what programs can still get without swapping (proc(5)).
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            disk_used=disk.used,
            disk_total=disk.total,
            # psutil.boot_time() follows the time of day, which NTP may set by decades.
            uptime=int(boottime.now()),
        )


def cpu_times() -> CpuTimes:
    """Return the kernel's counters; guest time is already part of user time, and iowait counts as idle."""
    times = psutil.cpu_times()
    busy = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
    return CpuTimes(busy, times.idle + times.iowait)


def busy_percent(before: CpuTimes, after: CpuTimes) -> float:
    """Return the busy share of all cores' time between two readings, 0-100."""
    # The kernel's iowait may decrease, so a difference may be negative.
    busy = max(0.0, after.busy - before.busy)
    total = busy + max(0.0, after.idle - before.idle)
    return 100.0 * busy / total if total else 0.0


def facts() -> HostFacts:
    """Return the operating system, kernel and cores of this host."""
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        system = platform.system()
    return HostFacts(os=system, kernel=platform.release(), cpu_count=psutil.cpu_count(logical=True) or 1)


def heartbeat(agent_id: str, reading: HostReading, now: float) -> dict[str, object]:
    """Return the payload of ``heartbeat`` (protocol: Heartbeat): percent, GB of 2^30 bytes, UTC without offset.

    ``now`` is the Unix time of the heartbeat.
    """
    return {
        "agent_id": agent_id,
        "cpu_usage": round(reading.cpu_percent, 1),
        "memory_usage": gigabytes(reading.memory_used),
        "memory_total": gigabytes(reading.memory_total),
        "disk_usage": gigabytes(reading.disk_used),
        "disk_total": gigabytes(reading.disk_total),
        "uptime": reading.uptime,
        "status": "online",
        # isoformat() omits microseconds that are 0, but the cloud's format always has them.
        "timestamp": datetime.fromtimestamp(now, UTC).replace(tzinfo=None).isoformat(timespec="microseconds"),
    }


def gigabytes(size: int) -> float:
    """Convert bytes to the cloud's unit: GB of 2^30 bytes, one decimal."""
    return round(size / GIB, 1)
