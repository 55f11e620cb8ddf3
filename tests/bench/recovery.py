"""Section ``recovery``: the parent interface comes back, and the power comes back, with many runtimes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import NamedTuple

from tests.bench import rows
from tests.bench.host import FIRST_HOST, Host, host
from tests.bench.lan_answers import lan_answers
from tests.bench.raw import raw_docker
from tests.bench.rows import Figure, Goal, Reference, Row
from tests.bench.section import Run, say
from tests.support import command, engine_traces
from tests.support.dockerd import Engine
from tests.support.lan import Lan

NOTICE_SECONDS = 120


class PowerCut(NamedTuple):
    """Seconds from the start of dockerd until it answered, and until all addresses answered."""

    engine_ready: float
    on_lan: float


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    count = run.counts.healed
    async with host(run) as ours:
        await ours.start()
        say(f"{count} runtimes, their parent unplugged and plugged in again")
        addresses = await ours.populate(count)
        taken = Figure(await _parent_return(ours, count, addresses))
        yield Row(f"parent back to {count} runtimes answering", rows.SECONDS, taken, goal=Goal(3.0))
        say(f"{count} runtimes after a power cut, without a cloud")
        cut = await _power_cut(ours, ours.lan, addresses, controlled=True)
    say("the same with dockerd alone")
    alone = await _docker_alone(run, count)
    yield Row(
        f"power back to {count} runtimes on the LAN",
        rows.SECONDS,
        Figure(cut.on_lan),
        Reference("dockerd alone", Figure(alone.on_lan)),
        Goal(alone.on_lan + 3, "dockerd alone + 3 s"),
        note=f"dockerd answers after {cut.engine_ready:.1f} s, alone {alone.engine_ready:.1f} s",
    )


async def _parent_return(ours: Host, count: int, addresses: list[str]) -> float:
    await asyncio.to_thread(ours.lan.unplug)
    for number in range(count):
        await ours.edge.wait_condition(f"plc-{number}", "Ready=False", seconds=NOTICE_SECONDS)
    async with lan_answers(ours.lan) as on_lan:
        began = time.perf_counter()
        await asyncio.to_thread(ours.lan.plug)
        return await on_lan.all(addresses) - began


async def _power_cut(ours: Host, lan: Lan, addresses: list[str], *, controlled: bool) -> PowerCut:
    """Kill everything; start dockerd, and at the same time the controller if the host is ``controlled``."""
    await ours.edge.kill()
    await ours.cloud.stop()
    await asyncio.to_thread(_cut, ours.engine, lan)
    async with lan_answers(lan) as on_lan, asyncio.TaskGroup() as tasks:
        answering = tasks.create_task(on_lan.all(addresses))
        began = time.perf_counter()
        starting = tasks.create_task(asyncio.to_thread(ours.engine.start))
        if controlled:
            await ours.start(connected=False)
        await starting
        ready = time.perf_counter() - began
        return PowerCut(ready, await answering - began)


def _cut(engine: Engine, lan: Lan) -> None:
    """Kill the engine with its containers, and remove what no machine has after it was off."""
    links = engine_traces.bridges(engine.root)
    engine.kill()
    engine_traces.kill(engine.root)
    # The engine's mounts keep the containers' network namespaces, whose macvlan links would still answer.
    for mount in reversed(engine_traces.mounts(engine.root)):
        command.run("umount", "--lazy", mount, check=False)
    engine_traces.remove_bridges(links)
    lan.unplug()
    lan.plug()


async def _docker_alone(run: Run, count: int) -> PowerCut:
    async with host(run) as alone:
        with raw_docker(alone.docker) as raw:
            names = {f"raw-{number}": FIRST_HOST + number for number in range(count)}
            for name, number in names.items():
                await asyncio.to_thread(raw.create, name, number)
            addresses = [raw.lan.address(number) for number in names.values()]
            found = await _power_cut(alone, raw.lan, addresses, controlled=False)
            for name in names:
                await asyncio.to_thread(raw.remove, name)
            return found
