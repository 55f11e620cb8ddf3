"""Compares our DHCP client with udhcpc on the same LAN, and measures the cost of fifty leases."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from controller.network.dhcp.lease_manager import LeaseKey, LeaseManager
from tests.bench import process
from tests.support.bare_container import BareContainer
from tests.support.command import run
from tests.support.dhcp_server import DhcpServer
from tests.support.lan import Lan

LEASES = 50
_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
"""

Row = tuple[str, str, str]


def ours_and_udhcpc(rounds: int) -> list[Row]:
    """The time until a leased address answers a ping: our client and udhcpc, in turn, in bare namespaces."""
    with Lan() as lan, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with DhcpServer(lan, folder, first=20, last=250):
            script = folder / "udhcpc"
            script.write_text(_SCRIPT)
            script.chmod(0o755)
            ours, theirs = [], []
            for number in range(rounds):
                ours.append(_timed(lan, f"02:ab:00:01:00:{number:02x}", lambda each: _lease(each, folder)))
                theirs.append(_timed(lan, f"02:ab:00:02:00:{number:02x}", lambda each: _udhcpc(each, script)))
    ratio = statistics.median(ours) / statistics.median(theirs)
    return [
        ("udhcpc: link to leased address that answers", "", _shown(theirs)),
        ("DHCP: link to leased address that answers", "p50 <= 2500 ms", _shown(ours)),
        ("... as a multiple of udhcpc", "<= 1.3", f"{ratio:.2f}"),
    ]


async def many(seconds: float) -> list[Row]:
    """CPU and memory of fifty leases that are renewed every minute."""
    with Lan() as lan, tempfile.TemporaryDirectory() as name, DhcpServer(lan, Path(name), first=20, last=250):
        manager = LeaseManager(Path(name) / "leases")
        containers = [BareContainer(lan, f"02:ab:00:03:00:{number:02x}") for number in range(LEASES)]
        before = _resident_mib()
        try:
            for number, container in enumerate(containers):
                await manager.keep(LeaseKey("edge", f"plc-{number}", "lan0"), container.link, container.client)
            cpu = await process.cpu_percent(os.getpid(), seconds)
            after = _resident_mib()
        finally:
            manager.close()
            for container in containers:
                container.end()
    return [
        (f"CPU of {LEASES} leases, renewed every minute", "<= 1 %", f"{cpu:.2f} % of a core"),
        (f"memory of {LEASES} leases", "<= 25 MB", f"{after - before:.1f} MiB"),
    ]


def _timed(lan: Lan, mac: str, lease: Callable[[BareContainer], str]) -> float:
    container = BareContainer(lan, mac)
    try:
        began = time.perf_counter()
        address = lease(container)
        assert lan.ping(address)
        return time.perf_counter() - began
    finally:
        container.end()


def _lease(container: BareContainer, folder: Path) -> str:
    return asyncio.run(_leased(container, folder))


async def _leased(container: BareContainer, folder: Path) -> str:
    manager = LeaseManager(folder / "leases")
    key = LeaseKey("edge", container.client.host_name, "lan0")
    await manager.keep(key, container.link, container.client)
    changes = manager.changes()
    while (lease := manager.lease_state(key, container.link).lease) is None:
        await anext(changes)
    run("nsenter", "-t", str(container.link.process.pid), "-n", "ip", "addr", "add", str(lease.address), "dev", "lan0")
    manager.close()
    return str(lease.address.ip)


def _udhcpc(container: BareContainer, script: Path) -> str:
    pid = str(container.link.process.pid)
    run("nsenter", "-t", pid, "-n", "busybox", "udhcpc", "-f", "-n", "-q", "-i", "lan0", "-s", str(script))
    shown = run("nsenter", "-t", pid, "-n", "ip", "-4", "-o", "addr", "show", "dev", "lan0").stdout
    return shown.split()[3].split("/")[0]


def _resident_mib() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


def _shown(seconds: list[float]) -> str:
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    return f"{middle * 1e3:.1f} ms (min {low * 1e3:.1f}, max {high * 1e3:.1f}, n {len(seconds)})"
