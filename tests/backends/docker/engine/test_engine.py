"""The backend and its engine: outages, events, and leaks in the process."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from ipaddress import IPv4Network
from typing import Any

import pytest

from controller import errors
from controller.api import reasons, runtimes
from controller.backends import base
from controller.backends.base import Contact, Identity
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.parts import HostServices
from tests.backends.conftest import INTERNAL_POOL, BackendHarness, interface
from tests.support import dockerd, image
from tests.support.descriptors import opened
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


@pytest.fixture
def own_engine(engine: dockerd.Engine, runtime_images: dict[str, image.Image]) -> Iterator[dockerd.Engine]:
    """An engine with the runtime image that a test may stop and kill."""
    with dockerd.Engine(engine.binary, runtime=engine.runtime) as made:
        client = made.client()
        image.load(client, list(runtime_images.values()))
        client.close()
        yield made


@pytest.fixture
async def own_harness(own_engine: dockerd.Engine, install_id: str, host: HostServices) -> AsyncIterator[BackendHarness]:
    """A backend on that engine."""
    backend = DockerBackend(own_engine.url, install_id, INTERNAL_POOL, host, settle_seconds=1.0)
    yield BackendHarness(backend, install_id, image.REPOSITORY)
    backend.close()


async def until(changes: AsyncIterator[Identity | Contact], wanted: Identity | Contact) -> None:
    """Wait for this change."""
    async for change in changes:
        if change == wanted:
            return


async def test_an_unreachable_engine_is_waited_for(host: HostServices) -> None:
    backend = DockerBackend("unix:///nonexistent/docker.sock", "x", INTERNAL_POOL, host)

    with pytest.raises(errors.Waiting) as away:
        await backend.survey()

    assert away.value.reason == reasons.DAEMON_UNREACHABLE
    backend.close()


async def test_runtimes_and_events_survive_a_restart_of_the_engine(
    own_harness: BackendHarness, own_engine: dockerd.Engine, lan: Lan
) -> None:
    target = await own_harness.up(own_harness.target(interfaces=[interface(lan, 10), interface(lan, 11, "cell")]))
    async with asyncio.timeout(60), aclosing(own_harness.backend.changes()) as changes:
        await until(changes, Contact.CONNECTED)
        await asyncio.to_thread(own_engine.stop)
        with pytest.raises(errors.Waiting):
            await own_harness.backend.observe(target)
        await asyncio.to_thread(own_engine.start)
        await until(changes, Contact.CONNECTED)

    await own_harness.run(target, base.Step.REPAIR_NETWORKS)

    observed = await own_harness.backend.observe(target)
    assert observed.running
    assert all(found.in_order for found in observed.network.interfaces)
    assert lan.ping(lan.address(11))
    await own_harness.backend.purge(volumes=True)


@pytest.mark.parametrize("interference", ["kill", "pause", "disconnect", "remove"])
async def test_manual_interference_is_reported(harness: BackendHarness, api: Any, lan: Lan, interference: str) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    name = target.identity.device_id
    networks = list(api.inspect_container(name)["NetworkSettings"]["Networks"])
    actions = {
        "kill": lambda: api.kill(name),
        "pause": lambda: api.pause(name),
        "disconnect": lambda: api.disconnect_container_from_network(name, networks[0]),
        "remove": lambda: api.remove_container(name, force=True),
    }
    async with asyncio.timeout(60), aclosing(harness.backend.changes()) as changes:
        await until(changes, Contact.CONNECTED)
        await asyncio.to_thread(actions[interference])
        await until(changes, target.identity)


async def test_unread_changes_are_kept_once_per_runtime(harness: BackendHarness, api: Any) -> None:
    target = await harness.up(harness.target())
    async with asyncio.timeout(60), aclosing(harness.backend.changes()) as changes:
        await until(changes, Contact.CONNECTED)
        for _ in range(5):
            await asyncio.to_thread(api.restart, target.identity.device_id, 0)
        await until(changes, target.identity)


async def test_an_exhausted_pool_stalls(engine: dockerd.Engine, harness: BackendHarness, host: HostServices) -> None:
    tiny = DockerBackend(engine.url, harness.install_id, IPv4Network("10.214.255.240/28"), host)
    harness.backend, kept = tiny, harness.backend
    await harness.up(harness.target("plc1"))

    with pytest.raises(errors.Stalled) as exhausted:
        await harness.up(harness.target("plc2"))

    assert exhausted.value.reason == reasons.POOL_EXHAUSTED
    harness.backend = kept
    tiny.close()


async def test_creating_and_deleting_leaks_nothing(
    engine: dockerd.Engine, harness: BackendHarness, lan: Lan, install_id: str, host: HostServices
) -> None:
    before = opened()
    kept, harness.backend = (
        harness.backend,
        DockerBackend(engine.url, install_id, INTERNAL_POOL, host),
    )
    for _ in range(10):
        target = await harness.up(harness.target(interfaces=[interface(lan, 10), interface(lan, 11, "cell")]))
        await harness.backend.observe(target)
        await harness.backend.running()
        await harness.down(target)

    assert await harness.backend.list_objects(volumes=True) == []
    # Pools grow to the number of calls that run at the same time; a thread that leaks in each creation is more.
    assert len(own_threads()) <= 12
    await close(harness.backend)
    harness.backend = kept
    assert opened() <= before
    assert own_threads() == []


async def test_closing_ends_a_waiting_stream(engine: dockerd.Engine, install_id: str, host: HostServices) -> None:
    backend = DockerBackend(engine.url, install_id, INTERNAL_POOL, host)
    stream: Any = backend.changes()  # a generator, which the type of the protocol hides
    async with asyncio.timeout(60), aclosing(stream) as changes:
        await until(changes, Contact.CONNECTED)

    await close(backend)

    assert own_threads() == []


async def close(backend: DockerBackend) -> None:
    """Close it, and wait for its threads."""
    threads = own_threads()
    backend.close()
    for thread in threads:
        await asyncio.to_thread(thread.join, 10)


def own_threads() -> list[threading.Thread]:
    """The live threads of the backends."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("docker")]


async def test_a_lan_recovers_after_its_parent_was_missing_at_the_engines_start(
    own_harness: BackendHarness, own_engine: dockerd.Engine, lan: Lan
) -> None:
    target = await own_harness.up(own_harness.target(interfaces=[interface(lan, 10)]))
    mac = lan.mac_of(lan.address(10))
    await asyncio.to_thread(own_engine.stop)
    lan.unplug()
    await asyncio.to_thread(own_engine.start)
    lan.plug()

    await own_harness.run(target, base.Step.START_CONTAINER)

    assert lan.mac_of(lan.address(10)) == mac
    await own_harness.backend.purge(volumes=True)


async def test_a_running_container_joins_a_lan_whose_parent_was_missing_at_the_engines_start(
    own_harness: BackendHarness, own_engine: dockerd.Engine, lan: Lan
) -> None:
    await own_harness.up(own_harness.target(interfaces=[interface(lan, 10)]))
    second = await own_harness.up(own_harness.target("plc2", interfaces=[]))
    await asyncio.to_thread(own_engine.stop)
    lan.unplug()
    await asyncio.to_thread(own_engine.start)
    lan.plug()
    await own_harness.run(second, base.Step.START_CONTAINER)
    spec = runtimes.RuntimeSpec.model_validate(second.spec.wire() | {"interfaces": [interface(lan, 11)]})
    second = dataclasses.replace(second, spec=spec)

    await own_harness.run(second, base.Step.REPAIR_NETWORKS)

    assert lan.ping(lan.address(11))
    await own_harness.backend.purge(volumes=True)
