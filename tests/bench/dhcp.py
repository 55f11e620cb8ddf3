"""Section ``dhcp``: our DHCP client beside udhcpc on the same LAN, and the cost of many leases."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from controller.network.dhcp.lease_manager import LeaseKey, LeaseManager
from tests.bench import process, rows
from tests.bench.rows import Figure, Goal, Reference, Row
from tests.bench.section import Run
from tests.support.bare_container import BareContainer
from tests.support.command import run
from tests.support.dhcp_server import DhcpServer
from tests.support.lan import Lan

_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
"""


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    yield await asyncio.to_thread(_beside_udhcpc, run.counts.rounds)
    async for row in _many(run.counts.leased, run.counts.leased_seconds):
        yield row


def _beside_udhcpc(rounds: int) -> Row:
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
    return Row(
        "DHCP: link to leased address that answers",
        rows.MILLISECONDS,
        rows.median(ours),
        Reference("udhcpc", rows.median(theirs)),
        Goal(1.3 * statistics.median(theirs), "1.3 x udhcpc"),
    )


async def _many(count: int, seconds: float) -> AsyncGenerator[Row]:
    """CPU and memory of many leases that are renewed every minute."""
    with Lan() as lan, tempfile.TemporaryDirectory() as name, DhcpServer(lan, Path(name), first=20, last=250):
        manager = LeaseManager(Path(name) / "leases")
        containers = [BareContainer(lan, f"02:ab:00:03:00:{number:02x}") for number in range(count)]
        before = process.resident_bytes(os.getpid())
        try:
            for number, container in enumerate(containers):
                await manager.keep(LeaseKey("edge", f"plc-{number}", "lan0"), container.link, container.client)
            cpu = await process.cpu_percent(os.getpid(), seconds)
            memory = process.resident_bytes(os.getpid()) - before
        finally:
            manager.close()
            for container in containers:
                container.end()
    yield Row(f"CPU of {count} leases, renewed every minute", rows.CORE, Figure(cpu), goal=Goal(1.0))
    yield Row(f"memory of {count} leases", rows.MEGABYTES, Figure(memory), goal=Goal(25e6))


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
