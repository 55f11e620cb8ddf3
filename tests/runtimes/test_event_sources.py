"""Sources of keys: engine events, host network changes, and the periodic resync."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import pytest

from controller import errors, names
from controller.api import kinds, reasons
from controller.backends import base
from controller.machinery.event_recorder import Subject
from controller.machinery.kinds import Kind
from controller.network.interfaces import LinkState
from controller.runtimes.event_sources import CHECKS_AT_ONCE, EventSources, Resync
from controller.runtimes.keys import INTERFACE, Key, Need
from controller.runtimes.scope import Scope
from tests.runtimes.harness import IDENTITY, KEY, SPEC, Harness
from tests.support.fake_backend import Container

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


class Host:
    """Interfaces by name, as their ifindex: 0 for none, negative without a carrier."""

    def __init__(self, links: dict[str, int]) -> None:
        self._links = links
        self._coming = asyncio.Queue[dict[str, int]]()

    def change(self, links: dict[str, int]) -> None:
        """Change these interfaces with the next burst."""
        self._coming.put_nowait(links)

    async def taken(self) -> None:
        """Wait until all bursts are handled."""
        await self._coming.join()

    def followed_by(self, followers: EventSources) -> Callable[[], Awaitable[None]]:
        return partial(followers.follow_network, self._bursts, self._state, lambda: list(self._links))

    async def _bursts(self) -> AsyncGenerator[None, None]:
        while True:
            self._links.update(await self._coming.get())
            yield
            self._coming.task_done()

    def _state(self, name: str) -> LinkState:
        number = self._links.get(name, 0)
        return LinkState(abs(number), up=number != 0, carrier=number > 0)


async def test_a_changed_parent_interface_adds_only_the_runtimes_that_need_it(harness: Harness, keys: Keys) -> None:
    harness.index.remember(IDENTITY, KEY, [Need(INTERFACE, "eth0")])
    harness.index.remember(IDENTITY._replace(device_id="plc-2"), OTHER, [Need(INTERFACE, "eth1.7")])
    host = Host({})
    async with running(host.followed_by(sources(harness, keys))):
        host.change({"eth0": 2, "eth1": 0})
        assert await keys.next() == KEY
        host.change({"eth1": 3})
        assert await keys.next() == OTHER
        host.change({})
        host.change({"eth0": 0})
        assert await keys.next() == KEY
        host.change({"eth1": 7})
        assert await keys.next() == OTHER
        host.change({"eth1": -7})  # its cable is pulled
        assert await keys.next() == OTHER
    assert keys.added.empty()


async def test_an_interface_that_stays_as_it_was_at_the_start_adds_nothing(harness: Harness, keys: Keys) -> None:
    harness.index.remember(IDENTITY, KEY, [Need(INTERFACE, "eth0")])
    harness.index.remember(IDENTITY._replace(device_id="plc-2"), OTHER, [Need(INTERFACE, "eth1")])
    host = Host({"eth0": 2, "eth1": 3})
    async with running(host.followed_by(sources(harness, keys))):
        host.change({"veth1": 9})
        host.change({"eth1": 0})  # also one that disappears with the first burst after its Runtime was created
        assert await keys.next() == OTHER
    assert keys.added.empty()


async def test_what_changed_while_nobody_listened_is_found_with_the_next_burst(harness: Harness, keys: Keys) -> None:
    harness.index.remember(IDENTITY, KEY, [Need(INTERFACE, "eth0")])
    host, followers = Host({"eth0": 2}), sources(harness, keys)
    async with running(host.followed_by(followers)):
        host.change({"veth1": 9})
        await host.taken()
    host.change({"eth0": 0})
    async with running(host.followed_by(followers)):
        assert await keys.next() == KEY


def resync(
    harness: Harness,
    keys: Keys,
    beat: Callable[[], None] = lambda: None,
    *,
    claims: bool = True,
    is_settled: Callable[[dict[str, Any]], Awaitable[bool]] | None = None,
    within: float = 1.0,
) -> Resync:
    return Resync(
        harness.api,
        harness.backend,
        keys,
        partial(harness.recorder.record, Subject(kinds.EDGE_NODES, "node-1")),
        beat,
        is_settled=is_settled or harness.reconciler.is_settled,
        install_id="install",
        scope=Scope("Docker", "node-1", claims=claims),
        every=0.01,
        within=within,
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


async def test_resync_adds_no_settled_runtime_and_sends_no_request_for_it(harness: Harness, keys: Keys) -> None:
    await harness.create()
    await harness.reconcile()
    harness.api.requests.clear()
    await resync(harness, keys).resync()
    assert keys.added.empty()
    assert harness.api.requests == [("list", kinds.RUNTIMES.plural)]


async def _stop_by_hand(harness: Harness) -> None:
    harness.backend.end(harness.backend.only(), "exited", 0)


async def _crash(harness: Harness) -> None:
    harness.backend.crash(harness.backend.only())


async def _unplug_the_parent(harness: Harness) -> None:
    harness.backend.missing_parents.add("eth0")


async def _break_the_observation(harness: Harness) -> None:
    harness.backend.containers[IDENTITY] = cast("Container", None)


async def _change_the_spec(harness: Harness) -> None:
    await harness.change(desiredState="Stopped")


async def _delete(harness: Harness) -> None:
    await harness.delete()


async def _recreate(harness: Harness) -> None:
    await harness.edit(lambda runtime: runtime["metadata"].update(uid="another object's"))


async def _withdraw_the_claim(harness: Harness) -> None:
    await harness.edit(lambda runtime: runtime["metadata"]["annotations"].pop(names.CLAIM))


async def _lose_the_status(harness: Harness) -> None:
    await harness.edit(lambda runtime: runtime.pop("status"))


async def _report_the_node_away(harness: Harness) -> None:
    """As the leader of a cluster does."""
    await harness.edit(lambda runtime: runtime["status"]["conditions"][0].update(status="Unknown"))


async def _break_the_spec(harness: Harness) -> None:
    await harness.edit(lambda runtime: runtime["spec"].update(interfaces="of a newer version"))


async def _restart_the_controller(harness: Harness) -> None:
    harness.restart_controller()


@pytest.mark.parametrize(
    "change",
    [
        _stop_by_hand,
        _crash,
        _unplug_the_parent,
        _break_the_observation,
        _change_the_spec,
        _delete,
        _recreate,
        _withdraw_the_claim,
        _lose_the_status,
        _report_the_node_away,
        _break_the_spec,
        _restart_the_controller,
    ],
)
async def test_resync_adds_a_runtime_that_needs_a_pass_and_does_nothing_itself(
    harness: Harness, keys: Keys, change: Callable[[Harness], Awaitable[None]]
) -> None:
    await harness.create()
    await harness.reconcile()
    await change(harness)
    before = list(harness.backend.effects)
    harness.api.requests.clear()
    source = resync(harness, keys)
    with contextlib.suppress(AttributeError):  # of the container that cannot be observed: it cannot be listed either
        await source.resync()
    assert keys.added.get_nowait() == KEY
    assert harness.backend.effects == before
    assert {verb for verb, _ in harness.api.requests} == {"list"}


async def test_resync_adds_every_runtime_while_the_engine_does_not_answer(harness: Harness, keys: Keys) -> None:
    await harness.create()
    await harness.reconcile()
    harness.backend.unreachable = True
    await resync(harness, keys).resync()
    assert keys.added.get_nowait() == KEY


async def test_resync_adds_every_runtime_that_a_slow_engine_leaves_unchecked(harness: Harness, keys: Keys) -> None:
    devices = [f"plc-{number}" for number in range(2 * CHECKS_AT_ONCE)]
    for name in devices:
        metadata = {"name": name, "namespace": "edge", "finalizers": [names.FINALIZER]}
        await harness.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": {**SPEC, "deviceId": name}})

    async def is_settled(_: dict[str, Any]) -> bool:
        return await asyncio.Future[bool]()

    await resync(harness, keys, is_settled=is_settled, within=0.1).resync()
    assert {keys.added.get_nowait().name for _ in range(keys.added.qsize())} == set(devices)


async def test_resync_adds_a_runtime_with_the_container_that_a_replacement_left(
    harness: Harness, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.create()
    await harness.reconcile()
    listed = await harness.backend.list_containers()

    async def list_containers() -> list[base.LabeledContainer]:
        return [*listed, base.LabeledContainer(IDENTITY, "edge-previous-0", "its predecessor")]

    monkeypatch.setattr(harness.backend, "list_containers", list_containers)
    await resync(harness, keys).resync()
    assert keys.added.get_nowait() == KEY


async def test_resync_adds_runtimes_that_share_a_device_id(harness: Harness, keys: Keys) -> None:
    await harness.create()
    await harness.reconcile()
    metadata = {"name": "other", "namespace": "edge", "finalizers": [names.FINALIZER]}
    await harness.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": SPEC})
    await resync(harness, keys).resync()
    assert {keys.added.get_nowait(), keys.added.get_nowait()} == {KEY, Key("edge", "other")}


async def test_resync_adds_a_runtime_whose_status_waits_to_be_written(harness: Harness, keys: Keys) -> None:
    await harness.create()
    await harness.reconcile()
    for _ in range(6):
        harness.backend.crash(harness.backend.only())
        await harness.reconcile()
    await resync(harness, keys).resync()
    assert keys.added.get_nowait() == KEY


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
