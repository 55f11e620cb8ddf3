"""Kubernetes Events: non-blocking, bounded, and with a count for repeated ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from controller import errors
from controller.api import kinds
from controller.machinery import event_recorder
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.event_recorder import EventRecorder, Subject
from controller.machinery.kinds import Kind
from tests.support import virtual_time
from tests.support.direct_api import DirectApi, no_fault

PLC = Subject(kinds.RUNTIMES, "plc-1", "edge", "uid-1")
NODE = Subject(kinds.EDGE_NODES, "node-1")


class Clock:
    """A clock controlled by the test."""

    now = 1_767_268_800.0
    elapsed = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def api(direct_api: DirectApi) -> DirectApi:
    return direct_api


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def recorder(api: DirectApi, clock: Clock) -> AsyncIterator[EventRecorder]:
    made = EventRecorder(api, "node-1", clock, lambda: clock.elapsed)
    task = asyncio.create_task(made.controller.run())
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def posted(api: DirectApi) -> list[dict[str, Any]]:
    return list(api.objects.values())


async def test_an_event_is_a_core_v1_event_about_its_object(api: DirectApi, recorder: EventRecorder) -> None:
    recorder.record(PLC, "Warning", "ImageNotFound", "There is no such image")
    await recorder.flush()
    (event,) = posted(api)
    assert event["metadata"]["namespace"] == "edge"
    assert event["involvedObject"] == {
        "apiVersion": "getedge.me/v1alpha1",
        "kind": "Runtime",
        "name": "plc-1",
        "namespace": "edge",
        "uid": "uid-1",
    }
    assert (event["type"], event["reason"], event["count"]) == ("Warning", "ImageNotFound", 1)
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-01T12:00:00Z"
    assert event["source"] == {"component": "edge-controller", "host": "node-1"}


async def test_an_event_of_a_cluster_scoped_object_is_in_default(api: DirectApi, recorder: EventRecorder) -> None:
    recorder.record(NODE, "Warning", "OrphanedContainer", "It has no Runtime")
    await recorder.flush()
    (event,) = posted(api)
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["involvedObject"]


async def test_a_repeated_event_increments_the_count(api: DirectApi, recorder: EventRecorder, clock: Clock) -> None:
    for _ in range(3):
        recorder.record(PLC, "Normal", "Started", "Started the container")
        clock.now += 60
    await recorder.flush()
    (event,) = posted(api)
    assert event["count"] == 3


@pytest.mark.parametrize("gone", ["expired", "long ago"])
async def test_a_deleted_or_old_event_is_posted_again(
    api: DirectApi, recorder: EventRecorder, clock: Clock, gone: str
) -> None:
    recorder.record(PLC, "Normal", "Started", "Started the container")
    await recorder.flush()
    if gone == "expired":
        for _, namespace, name in api.objects:
            await api.remove(core_kinds.EVENTS, name, namespace)
    else:
        clock.elapsed += event_recorder.REPEAT_SECONDS
    recorder.record(PLC, "Normal", "Started", "Started the container")
    await recorder.flush()
    assert [event["count"] for event in posted(api)] == [1] * (1 if gone == "expired" else 2)


@pytest.mark.parametrize("step", [-3600.0, 56 * 365 * 86400.0], ids=["back", "ahead"])
async def test_setting_the_clock_does_not_affect_repetition(
    api: DirectApi, clock: Clock, recorder: EventRecorder, step: float
) -> None:
    for _ in range(2):
        recorder.record(PLC, "Normal", "Started", "Started the container")
        await recorder.flush()
        clock.now += step
    assert [event["count"] for event in posted(api)] == [2]


async def test_an_api_that_refuses_events_does_not_fail_the_caller(api: DirectApi, recorder: EventRecorder) -> None:
    def refuse(verb: str, kind: Kind) -> None:
        raise errors.ApiUnavailableError("no answer")

    api.fault = refuse
    recorder.record(PLC, "Normal", "Started", "Started the container")
    await recorder.flush()
    api.fault = no_fault
    recorder.record(PLC, "Normal", "Started", "Started the container")
    await recorder.flush()
    assert len(posted(api)) == 1


async def test_more_events_than_fit_are_dropped_and_counted(api: DirectApi, caplog: pytest.LogCaptureFixture) -> None:
    idle = EventRecorder(api, "node-1", Clock())
    for number in range(event_recorder.QUEUE_LIMIT + 10):
        idle.record(PLC, "Normal", "Started", str(number))
    task = asyncio.create_task(idle.controller.run())
    await idle.flush()
    await asyncio.sleep(0)
    task.cancel()
    assert len(posted(api)) == event_recorder.QUEUE_LIMIT
    assert [record.message for record in caplog.records] == ["Dropped 10 events: the queue was full"]


async def test_warnings_take_the_place_of_the_oldest_normal_events(api: DirectApi) -> None:
    idle = EventRecorder(api, "node-1", Clock())
    idle.record(PLC, "Warning", "Failed", "first")
    for number in range(event_recorder.QUEUE_LIMIT - 1):
        idle.record(PLC, "Normal", "Started", str(number))
    for number in range(event_recorder.QUEUE_LIMIT):
        idle.record(PLC, "Warning", "Failed", str(number))
    task = asyncio.create_task(idle.controller.run())
    await idle.flush()
    task.cancel()
    last = event_recorder.QUEUE_LIMIT - 1
    assert {(event["type"], event["message"]) for event in posted(api)} == {
        ("Warning", message) for message in ("first", *map(str, range(last)))
    }


class Times:
    """An API that notes when each event is created."""

    def __init__(self) -> None:
        self.created: list[float] = []

    async def create(self, _kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
        self.created.append(asyncio.get_running_loop().time())
        return body


@pytest.mark.parametrize("flushed", [False, True])
def test_events_are_posted_after_what_they_are_about_unless_the_process_stops(flushed: bool) -> None:
    async def main() -> None:
        api, now = Times(), asyncio.get_running_loop().time
        recorder = EventRecorder(cast("ApiClient", api), "node-1", Clock(), lambda: 0.0)
        task = asyncio.create_task(recorder.controller.run())
        await asyncio.sleep(60)
        began = now()
        recorder.record(PLC, "Normal", "Started", "Started the container")
        recorder.record(PLC, "Normal", "Ready", "It runs")
        if flushed:
            await recorder.flush()
        await asyncio.sleep(60)
        delay = 0 if flushed else event_recorder.DELAY_SECONDS
        assert [created - began for created in api.created] == pytest.approx([delay, delay])
        task.cancel()

    virtual_time.run(main())


def test_a_flush_at_the_moment_of_the_stop_does_not_keep_the_controller_running() -> None:
    async def main() -> None:
        recorder = EventRecorder(cast("ApiClient", Times()), "node-1", Clock(), lambda: 0.0)
        task = asyncio.create_task(recorder.controller.run())
        recorder.record(PLC, "Normal", "Started", "Started the container")
        await asyncio.sleep(event_recorder.DELAY_SECONDS / 2)
        flush = asyncio.create_task(recorder.flush())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=60)
        assert task.cancelled()
        flush.cancel()

    virtual_time.run(main())
