"""The host's usage and the heartbeat's payload."""

from __future__ import annotations

import threading
from datetime import datetime

import psutil
import pytest

from controller.metrics import host
from controller.metrics.disks import Disks, DiskUsage, mount_points
from controller.metrics.host import CpuTimes, HostReading

GIB = 1 << 30


def test_the_heartbeat_matches_the_protocol() -> None:
    reading = HostReading(15.2345, int(2.5 * GIB), 16 * GIB, int(45.84 * GIB), 500 * GIB, 86400)
    assert host.heartbeat("07048933", reading, now=1_763_670_645.123456) == {
        "agent_id": "07048933",
        "cpu_usage": 15.2,
        "memory_usage": 2.5,
        "memory_total": 16.0,
        "disk_usage": 45.8,
        "disk_total": 500.0,
        "uptime": 86400,
        "status": "online",
        "timestamp": "2025-11-20T20:30:45.123456",
    }


def test_a_timestamp_on_the_full_second_keeps_its_microseconds() -> None:
    payload = host.heartbeat("a", HostReading(0, 0, 0, 0, 0, 0), now=1_763_670_645.0)
    assert payload["timestamp"] == "2025-11-20T20:30:45.000000"
    assert datetime.fromisoformat(str(payload["timestamp"])).tzinfo is None


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [
        (CpuTimes(10, 90), CpuTimes(10, 100), 0.0),
        (CpuTimes(10, 90), CpuTimes(20, 90), 100.0),
        (CpuTimes(10, 90), CpuTimes(15, 105), 25.0),
        (CpuTimes(10, 90), CpuTimes(10, 90), 0.0),  # two readings at the same instant
        (CpuTimes(10, 90), CpuTimes(11, 89), 100.0),  # iowait decreased
        (CpuTimes(10, 90), CpuTimes(9, 95), 0.0),
    ],
)
def test_cpu_is_the_busy_share_of_all_cores(before: CpuTimes, after: CpuTimes, percent: float) -> None:
    assert host.busy_percent(before, after) == pytest.approx(percent)


def test_a_reading_matches_this_host() -> None:
    reading = host.HostReader(Disks()).read()
    assert 0 <= reading.cpu_percent <= 100
    assert reading.memory_total == psutil.virtual_memory().total
    assert 0 < reading.memory_used < reading.memory_total
    assert 0 < reading.disk_used < reading.disk_total
    assert reading.uptime > 0


def test_facts_contain_system_kernel_and_cores() -> None:
    facts = host.facts()
    assert facts.os
    assert facts.kernel
    assert facts.cpu_count == psutil.cpu_count()


def test_each_device_counts_once_and_read_only_images_never() -> None:
    mounts = [
        ("/dev/sda1", "/", "ext4"),
        ("/dev/sda1", "/var/lib/docker", "ext4"),
        ("/dev/loop3", "/snap/core/1", "squashfs"),
        ("/dev/sr0", "/media/cdrom", "iso9660"),
        ("/dev/sdb1", "/data", "btrfs"),
    ]
    assert mount_points(mounts) == ["/", "/data"]


def test_a_hanging_disk_blocks_nothing_and_keeps_its_last_values(caplog: pytest.LogCaptureFixture) -> None:
    moments = iter((0.0, 60.0, 120.0, 180.0, 240.0, 300.0))
    hanging, released = threading.Event(), threading.Event()
    results = [DiskUsage(1, 10), DiskUsage(2, 10)]

    def measure() -> DiskUsage:
        if len(results) == 1:
            hanging.set()
            released.wait(10)
        return results.pop(0)

    disks = Disks(refresh=60, measure=measure, clock=lambda: next(moments))
    assert disks.usage() == DiskUsage(1, 10)
    assert disks.usage() == DiskUsage(1, 10)
    assert hanging.wait(10)
    assert disks.usage() == disks.usage() == DiskUsage(1, 10)
    assert caplog.text.count("A disk does not respond") == 1
    released.set()


def test_disks_are_measured_again_only_when_due() -> None:
    moments = iter((0.0, 59.0, 59.9))
    measured = []

    def measure() -> DiskUsage:
        measured.append(1)
        return DiskUsage(1, 2)

    disks = Disks(refresh=60, measure=measure, clock=lambda: next(moments))
    assert [disks.usage() for _ in range(3)] == [DiskUsage(1, 2)] * 3
    assert measured == [1]
