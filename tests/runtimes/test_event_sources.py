"""Where keys come from: engine events, host network changes, and the slow look at everything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from controller import errors
from controller.api import kinds, reasons
from controller.backends import base
from controller.machinery.event_recorder import Subject
from controller.machinery.kinds import Kind
from controller.network.interfaces import LinkState
from controller.runtimes.event_sources import EngineEvents, NetworkChanges, Resync
from controller.runtimes.keys import Key
from controller.runtimes.scope import Scope
from tests.runtimes.world import IDENTITY, KEY, World

OTHER = Key("edge", "plc-2")


@dataclass
class Keys:
    """Stands for the queue: which keys were added."""

    added: asyncio.Queue[Key] = field(default_factory=asyncio.Queue)

    def add(self, key: Key) -> None:
        self.added.put_nowait(key)

    async def next(self) -> Key:
        return await asyncio.wait_for(self.added.get(), 30)


@pytest.fixture
async def keys() -> Keys:
    return Keys()


@contextlib.asynccontextmanager
async def running(loop: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(loop())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def engine_events(world: World, keys: Keys) -> EngineEvents:
    return EngineEvents(world.backend.changes, keys, world.index, world.engine, world.elapsed)


async def test_an_event_of_the_engine_adds_the_runtime_it_belongs_to(world: World, keys: Keys) -> None:
    world.index.remember(IDENTITY, KEY)
    stranger = IDENTITY._replace(device_id="unknown")
    async with running(engine_events(world, keys).run):
        world.backend.events.put_nowait(stranger)
        world.backend.events.put_nowait(IDENTITY)
        assert await keys.next() == KEY
    assert keys.added.empty()


async def test_after_a_gap_everything_is_looked_at_and_the_engine_counts_as_restarted(world: World, keys: Keys) -> None:
    world.index.remember(IDENTITY, KEY)
    async with running(engine_events(world, keys).run):
        world.backend.events.put_nowait(base.Contact.CONNECTED)
        assert await keys.next() == KEY
        assert world.engine.absence is None
        world.backend.events.put_nowait(base.Contact.LOST)
        assert await keys.next() == KEY
        assert world.engine.absence == (pytest.approx(world.elapsed()), None)
        world.backend.events.put_nowait(base.Contact.CONNECTED)
        assert await keys.next() == KEY
        assert world.engine.absence == (pytest.approx(world.elapsed()), pytest.approx(world.elapsed()))


async def test_that_the_engine_is_back_is_left_to_the_engine_to_tell(
    world: World, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    world.index.remember(IDENTITY, KEY)
    async with running(engine_events(world, keys).run):
        for contact in (base.Contact.LOST, base.Contact.CONNECTED):
            world.backend.events.put_nowait(contact)
            assert await keys.next() == KEY
    assert caplog.text == ""


async def test_a_parent_that_comes_goes_or_is_another_adds_who_needs_it_and_nobody_else(
    world: World, keys: Keys
) -> None:
    world.index.remember(IDENTITY, KEY, ["eth0"])
    world.index.remember(IDENTITY._replace(device_id="plc-2"), OTHER, ["eth1"])
    changed = asyncio.Queue[dict[str, int]]()
    host: dict[str, int] = {}

    def state(name: str) -> LinkState:
        number = abs(host[name])
        return LinkState(number, up=number > 0, carrier=host[name] > 0)

    async def changes() -> AsyncGenerator[None, None]:
        while True:
            host.update(await changed.get())
            yield

    async with running(NetworkChanges(changes, keys, world.index, state).run):
        changed.put_nowait({"eth0": 2, "eth1": 0})
        assert await keys.next() == KEY
        changed.put_nowait({"eth1": 3})
        assert await keys.next() == OTHER
        changed.put_nowait({})
        changed.put_nowait({"eth0": 0})
        assert await keys.next() == KEY
        changed.put_nowait({"eth1": 7})
        assert await keys.next() == OTHER
        changed.put_nowait({"eth1": -7})  # its cable is pulled
        assert await keys.next() == OTHER
    assert keys.added.empty()


def resync(world: World, keys: Keys, beat: Callable[[], None] = lambda: None, *, claims: bool = True) -> Resync:
    return Resync(
        world.api,
        world.backend,
        keys,
        world.recorder,
        beat,
        install_id="install",
        scope=Scope("Docker", "node-1", claims=claims),
        subject=Subject(kinds.EDGE_NODES, "node-1"),
        every=0.01,
        within=1.0,
    )


async def test_the_slow_timer_beats_while_the_engine_hangs(world: World, keys: Keys) -> None:
    async def known() -> list[base.Orphan]:
        await asyncio.Event().wait()
        raise AssertionError

    world.backend.known = known  # type: ignore[method-assign]
    beats: asyncio.Queue[None] = asyncio.Queue()
    async with running(resync(world, keys, lambda: beats.put_nowait(None)).run), asyncio.timeout(30):
        await beats.get()
        await beats.get()


async def test_the_slow_timer_leaves_it_to_the_engine_to_tell_that_it_is_away(
    world: World, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    looks: asyncio.Queue[None] = asyncio.Queue()

    async def known() -> list[base.Orphan]:
        looks.put_nowait(None)
        raise errors.Waiting(reasons.DAEMON_UNREACHABLE, "Docker does not answer")

    world.backend.known = known  # type: ignore[method-assign]
    async with running(resync(world, keys).run), asyncio.timeout(30):
        await looks.get()
        await looks.get()
    assert caplog.text == ""


async def test_the_slow_timer_adds_this_nodes_runtimes_and_beats_even_when_the_api_is_away(
    world: World, keys: Keys
) -> None:
    await world.create()
    away = [errors.ApiUnavailableError("no answer")]

    def fault(verb: str, kind: Kind) -> None:
        if verb == "list" and away:
            raise away.pop()

    world.api.fault = fault
    beats: list[int] = []
    async with running(resync(world, keys, lambda: beats.append(len(away))).run):
        assert await keys.next() == KEY
    assert beats[0] == 0


@pytest.mark.parametrize(("node", "claims", "added"), [(None, True, 1), ("node-2", True, 0), (None, False, 0)])
async def test_a_runtime_of_nobody_is_this_nodes_only_where_it_claims(
    world: World, keys: Keys, node: str | None, claims: bool, added: int
) -> None:
    await world.create(nodeName=node)
    await resync(world, keys, claims=claims).look()
    assert keys.added.qsize() == added


async def test_a_container_without_a_runtime_is_reported_once_and_never_removed(world: World, keys: Keys) -> None:
    await world.create()
    await world.reconcile()
    world.api.remove(kinds.RUNTIMES, KEY.name, KEY.namespace)
    before = await world.events()
    slow = resync(world, keys)
    await slow.look()
    await slow.look()
    assert (await world.events())[len(before) :] == [("Warning", reasons.ORPHANED)]
    assert slow.orphans == 1
    assert IDENTITY in world.backend.containers


async def test_a_runtime_of_the_same_identity_makes_no_orphan(world: World, keys: Keys) -> None:
    await world.create()
    await world.reconcile()
    world.backend.containers[IDENTITY] = replace(world.backend.only(), uid="an earlier object's")
    slow = resync(world, keys)
    await slow.look()
    assert slow.orphans == 0
