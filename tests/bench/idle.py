"""Section ``idle``: memory, CPU and bytes written of a controller whose runtimes do nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from functools import partial

from controller import names
from controller.nodes import edgenode_status
from tests.bench import process, rows
from tests.bench.host import Host, host
from tests.bench.rows import Figure, Goal, Row
from tests.bench.section import Run, say
from tests.support.dhcp_server import DhcpServer
from tests.support.edge_host import eventually

SETTLE_SECONDS = 10.0  # reconciliations after the creates are still running
BACKUP_SECONDS = 120.0
DAY_SECONDS = 86_400
LEASE_SECONDS = 3600
SAMPLE_BYTES, SAMPLE_SECONDS = 10, 5  # of the metrics, whose whole hours are written once (controller/metrics)


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    for rows_of in (static, _leased):
        async with aclosing(rows_of(run)) as measuring:
            async for row in measuring:
                yield row


async def static(run: Run) -> AsyncGenerator[Row]:
    """The rows with static addresses."""
    async with host(run) as ours:
        await ours.start()
        await ours.populate(run.counts.runtimes)
        what = f"{run.counts.runtimes} runtimes"
        async for row in _resting(ours, what, run.counts.idle_seconds, (84e6, 0.4)):
            yield row


async def _leased(run: Run) -> AsyncGenerator[Row]:
    counts = run.counts
    async with host(run) as ours:
        await ours.start()
        with ExitStack() as stack:
            # As in plants. With the shortest of dnsmasq, all of them would be renewed in each minute of the window.
            server = DhcpServer(ours.lan, ours.folder, first=10, last=250, lease_seconds=LEASE_SECONDS)
            stack.enter_context(server)
            await _lease(ours, counts.leased)
            what = f"{counts.leased} runtimes with leases of an hour"
            async for row in _resting(ours, what, counts.leased_seconds, (92e6, 0.8)):
                yield row


async def _lease(ours: Host, count: int) -> None:
    interface = {"name": "lan0", "parent_interface": ours.lan.parent, "network_mode": "dhcp"}
    names = [f"plc-{number}" for number in range(count)]
    for name in names:
        await ours.edge.send("create_new_runtime", container_name=name, vnic_configs=[interface])
    for name in names:
        await ours.edge.wait_running(name, seconds=180)


async def _resting(ours: Host, what: str, seconds: float, limits: tuple[float, float]) -> AsyncGenerator[Row]:
    # The first daily backup is due a minute after the start, and is added to the day below.
    await eventually(partial(_has_backup, ours), "the daily backup", seconds=BACKUP_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)
    say(f"{what} for {seconds:g} s")
    before = process.written_bytes(ours.process_id)
    cpu = Figure(await process.cpu_percent(ours.process_id, seconds))
    written = process.written_bytes(ours.process_id) - before
    memory, cores = limits
    yield Row(f"memory with {what}", rows.MEGABYTES, Figure(process.resident_bytes(ours.process_id)), goal=Goal(memory))
    yield Row(f"idle CPU with {what}", rows.CORE, cpu, goal=Goal(cores), note=f"over {seconds:g} s")
    yield _written(ours, what, await _figures(ours), written * DAY_SECONDS / seconds, seconds)


async def _has_backup(ours: Host) -> bool:
    return any(ours.edge.state.glob("backups/*.db"))


async def _figures(ours: Host) -> int:
    """Bytes of one write of the EdgeNode's figures, made by hand: the window ends before the controller's first one."""
    node = (await ours.edge.kubectl("get", "edgenodes", "--output=name")).strip()
    before = process.written_bytes(ours.process_id)
    patch = ("--subresource=status", "--type=merge", f"--field-manager={names.FIELD_MANAGER}")
    await ours.edge.kubectl("patch", node, *patch, '--patch={"status": {"uptimeSeconds": 1}}')
    return process.written_bytes(ours.process_id) - before


def _written(ours: Host, what: str, figures: int, extrapolated: float, seconds: float) -> Row:
    """Bytes per day: those of the window, and what is written too rarely to be in it."""
    daily_figures = figures * DAY_SECONDS / edgenode_status.HEARTBEAT_SECONDS
    series = len(ours.docker.containers()) + 1
    metrics = SAMPLE_BYTES * DAY_SECONDS / SAMPLE_SECONDS * series
    backup = max(file.stat().st_size for file in ours.edge.state.glob("backups/*.db"))
    note = (
        f"{rows.MEGABYTES.show(extrapolated)} extrapolated from {seconds:g} s, "
        f"{rows.MEGABYTES.show(daily_figures)} figures of the host, "
        f"{rows.MEGABYTES.show(metrics)} metrics, {rows.MEGABYTES.show(backup)} backup"
    )
    day = Figure(extrapolated + daily_figures + metrics + backup)
    return Row(f"written per day with {what}", rows.MEGABYTES, day, goal=Goal(20e6), note=note)
