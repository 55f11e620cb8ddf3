"""An engine that hangs, is slow, or hangs for one request only: which calls wait, fail or continue."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from controller import errors
from controller.api import reasons, runtimes
from controller.backends.base import Identity, Step, Target
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.containers.inventory import Containers
from controller.backends.docker.engine.client import Engine
from controller.backends.docker.engine.failures import Refusal
from controller.backends.docker.images.images import Images
from controller.backends.docker.parts import HostServices
from tests.backends.conftest import INTERNAL_POOL, ProgressRecorder, reason_of
from tests.support.stub_engine import LIMITS, ResponseMode, StubEngine

PATIENT = dataclasses.replace(LIMITS, query_seconds=600, change_seconds=600, pull_seconds=600)


@pytest.fixture
async def engine(stub: StubEngine) -> AsyncIterator[Engine]:
    """A connection whose timeouts are one second each."""
    engine = Engine(stub.url, LIMITS)
    yield engine
    engine.close()


@pytest.fixture
async def patient(stub: StubEngine) -> AsyncIterator[Engine]:
    """A connection that waits ten minutes for everything but a ping."""
    engine = Engine(stub.url, PATIENT)
    yield engine
    engine.close()


@pytest.fixture
def no_collections() -> Iterator[None]:
    """No garbage is collected meanwhile."""
    gc.disable()
    yield
    gc.enable()


async def inspect(engine: Engine, name: str = "plc1") -> Any:
    """Inspect a container."""
    return await engine.call(lambda client: client.inspect_container(name))


async def start(engine: Engine, name: str = "plc1") -> None:
    """Start a container."""
    await engine.change(lambda client: client.start(name))


async def hang(stub: StubEngine, engine: Engine) -> None:
    """Make the engine hang, and let the connection notice."""
    stub.running.clear()
    assert await reason_of(engine.check()) == reasons.DAEMON_UNREACHABLE


async def test_concurrent_callers_share_one_ping_of_a_hung_engine(stub: StubEngine, engine: Engine) -> None:
    stub.running.clear()

    found = await asyncio.gather(*(reason_of(inspect(engine)) for _ in range(50)))

    assert set(found) == {reasons.DAEMON_UNREACHABLE}
    stub.running.set()
    await engine.pause(20)
    assert "GET /containers/plc1/json" not in stub.requests


async def test_calls_fail_without_being_sent_while_the_engine_hangs(stub: StubEngine, engine: Engine) -> None:
    await inspect(engine)
    await hang(stub, engine)

    assert await reason_of(start(engine)) == reasons.DAEMON_UNREACHABLE

    stub.running.set()
    await engine.pause(20)
    assert "POST /containers/plc1/start" not in stub.requests


async def test_running_calls_end_when_the_engine_is_found_to_hang(stub: StubEngine, patient: Engine) -> None:
    stub.modes["/containers/plc1/start"] = ResponseMode.SILENT
    stub.modes["/containers/plc1/json"] = ResponseMode.SILENT
    waiting = [asyncio.create_task(reason_of(work(patient))) for work in (start, inspect)]
    await stub.wait_for_request("POST /containers/plc1/start")
    await stub.wait_for_request("GET /containers/plc1/json")

    await hang(stub, patient)

    assert await asyncio.wait_for(asyncio.gather(*waiting), 60) == [reasons.DAEMON_UNREACHABLE] * 2


async def test_an_error_is_freed_with_its_response_without_a_collection(
    stub: StubEngine, engine: Engine, no_collections: None
) -> None:
    def refuse(_: Any) -> None:
        raise Refusal(404, "no such container")

    try:
        await engine.call(refuse)
    except Refusal as refusal:
        kept = weakref.ref(refusal)

    async with asyncio.timeout(30):
        while kept() is not None:  # noqa: ASYNC110 - the thread does not signal that it has let go
            await asyncio.sleep(0.01)


async def test_calls_continue_as_soon_as_the_engine_answers_again(stub: StubEngine, engine: Engine) -> None:
    await hang(stub, engine)
    back = asyncio.create_task(engine.pause(600))
    stub.running.set()

    await asyncio.wait_for(back, 60)

    await inspect(engine)


async def test_an_upgraded_engine_is_called_in_its_new_version(stub: StubEngine, engine: Engine) -> None:
    before = await engine.capabilities()
    await hang(stub, engine)
    stub.version = "1.44"
    stub.running.set()
    await engine.pause(20)

    assert await engine.capabilities() != before
    await inspect(engine)
    assert stub.requests[-1] == "GET /containers/plc1/json"


@pytest.mark.parametrize("mode", [ResponseMode.SILENT, ResponseMode.HEADERS, ResponseMode.TRICKLE])
async def test_a_late_call_counts_as_slow_while_the_engine_answers_others(
    stub: StubEngine, engine: Engine, mode: ResponseMode
) -> None:
    stub.modes["/containers/plc1/json"] = mode

    assert await reason_of(inspect(engine)) == reasons.DAEMON_SLOW

    await engine.check()
    await inspect(engine, "plc2")


async def test_a_slow_start_does_not_affect_other_calls(stub: StubEngine, engine: Engine) -> None:
    stub.modes["/containers/plc1/start"] = stub.modes["/containers/plc2/start"] = ResponseMode.SILENT
    slow = asyncio.create_task(reason_of(start(engine)))
    await stub.wait_for_request("POST /containers/plc1/start")
    other = asyncio.create_task(reason_of(start(engine, "plc2")))
    await stub.wait_for_request("POST /containers/plc2/start")

    assert await slow == reasons.DAEMON_SLOW

    assert await other == reasons.DAEMON_SLOW
    assert stub.requests.count("POST /containers/plc2/start") == 1


async def test_slow_stops_delay_neither_queries_nor_starts(stub: StubEngine, patient: Engine) -> None:
    names = [f"plc{number}" for number in range(40)]
    stub.modes |= {f"/containers/{name}/stop": ResponseMode.SILENT for name in names}
    stops = [asyncio.create_task(patient.stop(name, 600)) for name in names]
    for name in names[: PATIENT.stops]:
        await stub.wait_for_request(f"POST /containers/{name}/stop")

    await inspect(patient)
    await start(patient)
    await patient.check()

    await cancelled(stops)


async def test_a_call_that_is_cancelled_before_it_is_sent_is_never_sent(stub: StubEngine) -> None:
    engine = Engine(stub.url, dataclasses.replace(LIMITS, changes=1))
    stub.modes["/containers/plc1/start"] = ResponseMode.SILENT
    first = asyncio.create_task(reason_of(start(engine)))
    await stub.wait_for_request("POST /containers/plc1/start")
    given_up = asyncio.create_task(start(engine, "plc2"))
    last = asyncio.create_task(start(engine, "plc3"))
    await asyncio.sleep(0)
    await cancelled([given_up])

    await asyncio.gather(first, last)

    assert "POST /containers/plc2/start" not in stub.requests
    engine.close()


async def test_closing_sends_nothing_more(stub: StubEngine) -> None:
    engine = Engine(stub.url, dataclasses.replace(LIMITS, changes=1))
    stub.modes["/containers/plc1/start"] = ResponseMode.SILENT
    first = asyncio.create_task(reason_of(start(engine)))
    await stub.wait_for_request("POST /containers/plc1/start")
    queued = asyncio.create_task(start(engine, "plc2"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    engine.close()

    for thread in [thread for thread in threading.enumerate() if thread.name.startswith("docker-change")]:
        await asyncio.to_thread(thread.join)
    await asyncio.wait_for(asyncio.gather(first, queued, return_exceptions=True), 60)
    assert "POST /containers/plc2/start" not in stub.requests


async def test_a_container_that_an_abandoned_call_is_creating_is_waited_for(
    stub: StubEngine, host: HostServices
) -> None:
    backend = DockerBackend(stub.url, "x", INTERNAL_POOL, host, limits=LIMITS)
    stub.statuses |= {"/containers/create": "409 Conflict", "/containers/plc1/json": "404 Not Found"}
    stub.answers |= {f"/images/{name}/json": {"Id": "sha256:1"} for name in ("pin", "registry.test/plc1:1")}

    with pytest.raises(errors.Retry):
        await backend.execute(
            Step.CREATE_CONTAINER, dataclasses.replace(target("plc1"), image="pin"), ProgressRecorder()
        )

    assert "POST /containers/create" in stub.requests
    backend.close()


def target(name: str) -> Target:
    """A target whose image is always pulled."""
    spec = {"deviceId": name, "image": f"registry.test/{name}", "version": "1", "imagePullPolicy": "Always"}
    return Target(Identity("x", "edge", name), name, "uid", 1, runtimes.RuntimeSpec.model_validate(spec))


async def test_pulls_from_a_silent_registry_queue_up_and_delay_nothing_else(stub: StubEngine, patient: Engine) -> None:
    stub.modes |= {"/images/create": ResponseMode.SILENT, "/events": ResponseMode.OPEN}
    images = Images(patient, Containers(patient), PATIENT)
    progress = [ProgressRecorder() for _ in range(PATIENT.pulls + 1)]
    pulls = [asyncio.create_task(images.resolve(target(f"plc{n}"), lines)) for n, lines in enumerate(progress)]
    await stub.wait_for_request("POST /images/create", PATIENT.pulls)

    assert [taken.lines[-1] for taken in progress if "Waiting" in taken.lines[-1][1]] == [
        (reasons.IMAGE_PULLING, f"Waiting to pull registry.test/plc{PATIENT.pulls}:1: other images are pulled first")
    ]
    await inspect(patient)
    async with asyncio.timeout(60):
        events = await patient.events(lambda client: client.get(f"{client.base_url}/v1.41/events", stream=True))
        await events.aclose()
    await cancelled(pulls)


async def test_a_silent_registry_is_reported_as_such(stub: StubEngine, engine: Engine) -> None:
    stub.modes["/images/create"] = ResponseMode.HEADERS
    images = Images(engine, Containers(engine), LIMITS)

    with pytest.raises(errors.Retry) as silent:
        await images.resolve(target("plc1"), ProgressRecorder())

    assert silent.value.reason == reasons.IMAGE_PULL_FAILED
    assert "registry" in str(silent.value)


async def cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait for them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
