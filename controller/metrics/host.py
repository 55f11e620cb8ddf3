"""What the host uses, and what it is. Blocking: runs in the sampler's thread, never in an event loop."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import psutil

from controller import boottime
from controller.metrics.disks import Disks

MIB = 1 << 20
GIB = 1 << 30


class CpuTimes(NamedTuple):
    """Seconds that all cores together were busy and idle since boot."""

    busy: float
    idle: float


@dataclass(frozen=True)
class HostReading:
    """One look at the host: CPU in percent of all cores together (0-100), sizes in bytes, uptime in seconds."""

    cpu_percent: float
    memory_used: int
    memory_total: int
    disk_used: int
    disk_total: int
    uptime: int


@dataclass(frozen=True)
class HostFacts:
    """What does not change while we run: operating system, kernel release, number of logical cores."""

    os: str
    kernel: str
    cpu_count: int


class HostReader:
    """Reads the host's figures; CPU is measured from one reading to the next, the first one since boot."""

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
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            disk_used=disk.used,
            disk_total=disk.total,
            uptime=int(boottime.now()),
        )


def cpu_times() -> CpuTimes:
    """The kernel's counters; guest time is already part of user time, waiting for a disk is idle."""
    times = psutil.cpu_times()
    busy = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
    return CpuTimes(busy, times.idle + times.iowait)


def busy_percent(before: CpuTimes, after: CpuTimes) -> float:
    """Share of all cores' time that was busy in between, 0-100."""
    # The kernel's iowait may run backwards, and with it a difference.
    busy = max(0.0, after.busy - before.busy)
    total = busy + max(0.0, after.idle - before.idle)
    return 100.0 * busy / total if total else 0.0


def facts() -> HostFacts:
    """Operating system, kernel and cores of this host."""
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        system = platform.system()
    return HostFacts(os=system, kernel=platform.release(), cpu_count=psutil.cpu_count(logical=True) or 1)


def heartbeat(agent_id: str, reading: HostReading, now: float) -> dict[str, object]:
    """The payload of the ``heartbeat`` event (protocol: Heartbeat): percent, GB of 2^30 bytes, UTC without offset.

    ``now`` is the Unix time of the beat.
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
        "timestamp": datetime.fromtimestamp(now, UTC).replace(tzinfo=None).isoformat(timespec="microseconds"),
    }


def gigabytes(size: int) -> float:
    """Bytes as the cloud wants them: GB of 2^30 bytes, one decimal."""
    return round(size / GIB, 1)
