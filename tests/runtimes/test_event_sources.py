"""Sources of keys: engine events, host network changes, and the periodic resync."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

import pytest

from controller import errors
from controller.api import kinds, reasons
from controller.backends import base
from controller.machinery.event_recorder import Subject
from controller.machinery.kinds import Kind
from controller.network.interfaces import LinkState
from controller.runtimes.event_sources import EventSources, Resync
from controller.runtimes.keys import INTERFACE, Key, Need
from controller.runtimes.scope import Scope
from tests.runtimes.harness import IDENTITY, KEY, Harness

OTHER = Key("edge", "plc-2")


@dataclass
class Keys:
    """A fake queue that records the added keys."""

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


def sources(harness: Harness, keys: Keys) -> EventSources:
    return EventSources(keys, harness.index, "install")


def engine_events(harness: Harness, keys: Keys) -> Callable[[], Awaitable[None]]:
    return partial(sources(harness, keys).follow_engine, harness.backend.changes, harness.engine, harness.elapsed)


async def test_an_engine_event_adds_its_runtime(harness: Harness, keys: Keys) -> None:
    harness.index.remember(IDENTITY, KEY)
    foreign = IDENTITY._replace(device_id="unknown")
    async with running(engine_events(harness, keys)):
        harness.backend.events.put_nowait(foreign)
        harness.backend.events.put_nowait(IDENTITY)
        assert await keys.next() == KEY
    assert keys.added.empty()


async def test_a_gap_in_the_events_adds_every_runtime_and_is_noted_as_an_absence(harness: Harness, keys: Keys) -> None:
    harness.index.remember(IDENTITY, KEY)
    async with running(engine_events(harness, keys)):
        harness.backend.events.put_nowait(base.Contact.CONNECTED)
        assert await keys.next() == KEY
        assert harness.engine.absence is None
        harness.backend.events.put_nowait(base.Contact.LOST)
        assert await keys.next() == KEY
        assert harness.engine.absence == (pytest.approx(harness.elapsed()), None)
        harness.backend.events.put_nowait(base.Contact.CONNECTED)
        assert await keys.next() == KEY
        assert harness.engine.absence == (pytest.approx(harness.elapsed()), pytest.approx(harness.elapsed()))


async def test_the_event_source_does_not_log_the_engines_return(
    harness: Harness, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    harness.index.remember(IDENTITY, KEY)
    async with running(engine_events(harness, keys)):
        for contact in (base.Contact.LOST, base.Contact.CONNECTED):
            harness.backend.events.put_nowait(contact)
            assert await keys.next() == KEY
    assert caplog.text == ""


async def test_a_changed_parent_interface_adds_only_the_runtimes_that_need_it(harness: Harness, keys: Keys) -> None:
    harness.index.remember(IDENTITY, KEY, [Need(INTERFACE, "eth0")])
    harness.index.remember(IDENTITY._replace(device_id="plc-2"), OTHER, [Need(INTERFACE, "eth1.7")])
    changed = asyncio.Queue[dict[str, int]]()
    host: dict[str, int] = {}

    def state(name: str) -> LinkState:
        number = abs(host.get(name, 0))
        return LinkState(number, up=number > 0, carrier=host.get(name, 0) > 0)

    async def changes() -> AsyncGenerator[None, None]:
        while True:
            host.update(await changed.get())
            yield

    async with running(partial(sources(harness, keys).follow_network, changes, state)):
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


def resync(harness: Harness, keys: Keys, beat: Callable[[], None] = lambda: None, *, claims: bool = True) -> Resync:
    return Resync(
        harness.api,
        harness.backend,
        keys,
        harness.recorder,
        beat,
        install_id="install",
        scope=Scope("Docker", "node-1", claims=claims),
        subject=Subject(kinds.EDGE_NODES, "node-1"),
        every=0.01,
        within=1.0,
    )


async def test_resync_sends_its_heartbeat_while_the_engine_hangs(harness: Harness, keys: Keys) -> None:
    async def list_containers() -> list[base.LabeledContainer]:
        await asyncio.Event().wait()
        raise AssertionError

    harness.backend.list_containers = list_containers  # type: ignore[method-assign]
    beats: asyncio.Queue[None] = asyncio.Queue()
    async with running(resync(harness, keys, lambda: beats.put_nowait(None)).controller.run), asyncio.timeout(30):
        await beats.get()
        await beats.get()


async def test_resync_does_not_log_an_unreachable_engine(
    harness: Harness, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: asyncio.Queue[None] = asyncio.Queue()

    async def list_containers() -> list[base.LabeledContainer]:
        attempts.put_nowait(None)
        raise errors.Waiting(reasons.DAEMON_UNREACHABLE, "Docker does not answer")

    harness.backend.list_containers = list_containers  # type: ignore[method-assign]
    async with running(resync(harness, keys).controller.run), asyncio.timeout(30):
        await attempts.get()
        await attempts.get()
    assert caplog.text == ""


async def test_resync_adds_this_nodes_runtimes_and_survives_an_api_outage(harness: Harness, keys: Keys) -> None:
    await harness.create()
    away = [errors.ApiUnavailableError("no answer")]

    def fault(verb: str, kind: Kind) -> None:
        if verb == "list" and away:
            raise away.pop()

    harness.api.fault = fault
    beats: list[int] = []
    async with running(resync(harness, keys, lambda: beats.append(len(away))).controller.run):
        assert await keys.next() == KEY
    assert beats[0] == 0


@pytest.mark.parametrize(("node", "claims", "added"), [(None, True, 1), ("node-2", True, 0), (None, False, 0)])
async def test_resync_adds_a_runtime_without_a_node_only_with_claims(
    harness: Harness, keys: Keys, node: str | None, claims: bool, added: int
) -> None:
    await harness.create(nodeName=node)
    await resync(harness, keys, claims=claims).resync()
    assert keys.added.qsize() == added


async def test_a_container_without_a_runtime_is_reported_once_and_never_removed(harness: Harness, keys: Keys) -> None:
    await harness.create()
    await harness.reconcile()
    await harness.api.remove(kinds.RUNTIMES, KEY.name, KEY.namespace)
    before = await harness.events()
    source = resync(harness, keys)
    await source.resync()
    await source.resync()
    assert (await harness.events())[len(before) :] == [("Warning", reasons.ORPHANED)]
    assert source.orphans == 1
    assert IDENTITY in harness.backend.containers


async def test_a_container_of_an_earlier_object_is_no_orphan(harness: Harness, keys: Keys) -> None:
    await harness.create()
    await harness.reconcile()
    harness.backend.containers[IDENTITY] = replace(harness.backend.only(), uid="an earlier object's")
    source = resync(harness, keys)
    await source.resync()
    assert source.orphans == 0


async def test_a_container_created_during_a_resync_is_no_orphan(
    harness: Harness, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, list_containers = resync(harness, keys), harness.backend.list_containers

    async def after_a_creation() -> list[base.LabeledContainer]:
        await harness.create()
        await harness.reconcile()
        return await list_containers()

    monkeypatch.setattr(harness.backend, "list_containers", after_a_creation)
    await source.resync()
    assert source.orphans == 0
    assert ("Warning", reasons.ORPHANED) not in await harness.events()
