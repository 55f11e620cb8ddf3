"""What is done to the host: each fault comes, stays some seconds and goes, while work and kills go on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from tests.soak.site import Site

FLOOD = 300  # connections to each port; the oldest is closed for each further one
RETRY_SECONDS = 0.1
REPAIR_SECONDS = 15.0
CLOCK_STEPS = (-86400, -3600, -60, 60, 3600, 86400)

Fault = Callable[[Site, random.Random], AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def engine_hangs(site: Site, _: random.Random) -> AsyncIterator[None]:
    """Dockerd accepts connections and never answers."""
    os.kill(site.engine.process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(site.engine.process_id, signal.SIGCONT)


@contextlib.asynccontextmanager
async def engine_killed(site: Site, _: random.Random) -> AsyncIterator[None]:
    """Kill -9 of dockerd and containerd; containers run on."""
    await asyncio.to_thread(site.engine.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(site.engine.start)


@contextlib.asynccontextmanager
async def engine_stopped(site: Site, _: random.Random) -> AsyncIterator[None]:
    """As an upgrade of the engine with live-restore does."""
    await asyncio.to_thread(site.engine.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(site.engine.start)


@contextlib.asynccontextmanager
async def disk_full(site: Site, _: random.Random) -> AsyncIterator[None]:
    """No block is left on the disk of the state directory."""
    await asyncio.to_thread(site.disk.fill)
    try:
        yield
    finally:
        await asyncio.to_thread(site.disk.free)


@contextlib.asynccontextmanager
async def cloud_frozen(site: Site, _: random.Random) -> AsyncIterator[None]:
    """The link stays open, and nothing passes."""
    site.relay.freeze()
    try:
        yield
    finally:
        site.relay.thaw()


@contextlib.asynccontextmanager
async def cloud_restarted(site: Site, _: random.Random) -> AsyncIterator[None]:
    """The cloud closes every connection and comes back."""
    await site.cloud.stop()
    try:
        yield
    finally:
        await site.cloud.start()


@contextlib.asynccontextmanager
async def parent_pulled(site: Site, _: random.Random) -> AsyncIterator[None]:
    """The parent interface is gone, like a USB adapter."""
    site.lan_since = None
    await asyncio.to_thread(site.lan.unplug)
    try:
        yield
    finally:
        await asyncio.to_thread(site.lan.plug)
        # Nothing else happens meanwhile, so that the LAN's judge knows from when on it may expect answers.
        site.spared_until = time.monotonic() + REPAIR_SECONDS
        await asyncio.sleep(REPAIR_SECONDS)
        site.lan_since = time.monotonic()


@contextlib.asynccontextmanager
async def clock_stepped(site: Site, chance: random.Random) -> AsyncIterator[None]:
    """The time of day is wrong for a while."""
    site.clock.set(chance.choice(CLOCK_STEPS))
    try:
        yield
    finally:
        site.clock.set(0)


@contextlib.asynccontextmanager
async def connection_flood(site: Site, _: random.Random) -> AsyncIterator[None]:
    """Hundreds of silent connections to the API and to the status port, again after each start of the controller."""
    async with asyncio.TaskGroup() as tasks:
        floods = [tasks.create_task(_flood(site, port)) for port in (site.api_port, site.status_port)]
        yield
        for flood in floods:
            flood.cancel()


async def _flood(site: Site, port: int) -> None:
    held: deque[socket.socket] = deque(maxlen=FLOOD)
    try:
        while True:
            try:
                held.append(await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port), 1))
                site.findings.count("silent connections")
            except OSError:
                await asyncio.sleep(RETRY_SECONDS)
    finally:
        for connection in held:
            connection.close()


FAULTS: tuple[Fault, ...] = (
    engine_hangs,
    engine_killed,
    engine_stopped,
    disk_full,
    cloud_frozen,
    cloud_restarted,
    parent_pulled,
    clock_stepped,
    connection_flood,
)


def name_of(fault: Fault) -> str:
    """The fault as words."""
    return fault.__name__.replace("_", " ")


async def inflict(site: Site, faults: tuple[Fault, ...], chance: random.Random, until: float) -> None:
    """One fault after the other, all in random order before any comes again, until this moment (CLOCK_MONOTONIC)."""
    left: list[Fault] = []
    while faults and time.monotonic() < until:
        left = left or chance.sample(faults, len(faults))
        fault = left.pop()
        site.findings.say(name_of(fault))
        site.findings.count(f"fault: {name_of(fault)}")
        async with fault(site, chance):
            await asyncio.sleep(chance.uniform(2, 12))
        await asyncio.sleep(chance.uniform(1, 6))


async def kill_again_and_again(site: Site, mean_seconds: float, chance: random.Random, until: float) -> None:
    """SIGKILLs of the controller at random moments; sometimes a while without, in which work gets further."""
    while time.monotonic() < until:
        calm = chance.random() < 0.1
        await asyncio.sleep(chance.uniform(5, 15) if calm else chance.expovariate(1 / mean_seconds))
        await asyncio.sleep(site.spared_until - time.monotonic())
        site.controller.kill()
