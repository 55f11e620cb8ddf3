"""Every event gets an answer with action and correlation id; the dispatcher never raises."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import errors
from controller.api import kinds
from controller.cloud.answers import CANCELLED, INTERNAL_ERROR, MAX_ANSWER
from controller.cloud.commands.command import Semantics
from controller.cloud.contracts import bounds
from controller.cloud.contracts.base import Message
from controller.cloud.dispatcher import Dispatcher
from controller.cloud.packets import Incoming
from controller.cloud.topics import Topic
from controller.node_api.node import HttpResponse
from tests.support.command_harness import NAMESPACE, CommandHarness, vnic
from tests.support.direct_api import DirectApi

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.binary(max_size=8)
    | st.sampled_from(["plc-1", "static", "10.0.0.5", "10.0.0.0/24", "GET", "/api", "1h", "2026-01-01T00:00:00Z"])
)
payloads = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=6)
)
field_names = (
    "correlation_id action requested_at device_id container_name vnic_configs name ip subnet gateway "
    "parent_interface network_mode method api headers files cpuPeriod"
)
fields = st.sampled_from(field_names.split())
messages = st.dictionaries(fields, payloads, max_size=8)
topics = st.sampled_from([topic.name for topic in CommandHarness(None).topics] + ["reboot", "", "x" * 1000])


def is_answer(answer: Any, event: str) -> bool:
    """Whether it is a dictionary that JSON can carry, with the fields of every answer."""
    json.dumps(answer, allow_nan=False)
    return answer["action"] == event and "correlation_id" in answer and isinstance(answer["status"], str)


@given(event=topics, arguments=st.lists(messages | payloads, max_size=2), mode=st.sampled_from(["strict", "lenient"]))
def test_anything_is_answered(event: str, arguments: list[Any], mode: Any) -> None:
    async def dispatch() -> Any:
        async with DirectApi() as api:
            harness = CommandHarness(api, mode=mode, seconds=0.01)
            try:
                return await harness.dispatch(event, arguments)
            finally:
                await harness.close()

    assert is_answer(asyncio.run(dispatch()), event)


def deep(levels: int) -> Any:
    """Nested lists."""
    nested: Any = []
    for _ in range(levels):
        nested = [nested]
    return nested


@pytest.fixture
async def harness(direct_api: DirectApi) -> CommandHarness:
    """Commands on an empty API."""
    return CommandHarness(direct_api)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param([], "got 0 payloads", id="none"),
        pytest.param([{}, {}], "got 2 payloads", id="several"),
        pytest.param(["text"], "must be an object", id="text"),
        pytest.param([None], "must be an object", id="null"),
        pytest.param([b"\0"], "must be an object", id="binary"),
        pytest.param([{"device_id": b"\0"}], "device_id must not be binary", id="binary-inside"),
        pytest.param([{"device_id": math.nan}], "device_id must be a finite number", id="nan"),
        pytest.param([{"device_id": [math.inf]}], "device_id[0] must be a finite number", id="infinity-inside"),
        pytest.param([{"device_id": deep(100_000)}], "nested deeper than 32 levels", id="deep"),
        pytest.param([{"device_id": "x" * (10 << 20)}], "at most 256 KiB of text", id="ten-megabytes"),
        pytest.param([{"x" * (10 << 20): 1}], "at most 256 KiB of text", id="ten-megabytes-of-key"),
        pytest.param([{"device_id": [0] * 100_000}], "at most 20000 values", id="many-values"),
        pytest.param([{"device_id": "\ud800"}], "must be valid Unicode text", id="half-a-character"),
        pytest.param([{"correlation_id": 10**5000}], "too large a number", id="huge-number"),
    ],
)
async def test_a_payload_beyond_the_limits_is_refused(
    harness: CommandHarness, arguments: list[Any], error: str
) -> None:
    answer = await harness.dispatch("delete_device", arguments)
    assert answer["status"] == "error"
    assert error in answer["error"]
    assert is_answer(answer, "delete_device")


def test_a_long_list_is_counted_without_copying_it() -> None:
    payload = {"values": [0] * 4_000_000}
    tracemalloc.start()
    try:
        fault = bounds.fault_of(payload, bounds.SMALL)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert fault is not None
    assert "at most 20000 values" in fault.error
    assert peak < 1 << 20


async def test_files_for_a_runtime_may_be_large(harness: CommandHarness) -> None:
    file = {"filename": "program.zip", "content_base64": "QUJD" * (1 << 20)}
    message = harness.message("run_command", device_id="plc-1", method="POST", api="/upload", files={"file": file})
    assert (await harness.dispatch("run_command", [message]))["error"] == "there is no device plc-1 here"
    assert len(file["content_base64"]) < bounds.LARGE


async def test_the_error_for_an_unknown_topic_lists_the_topics(harness: CommandHarness) -> None:
    answer = await harness.dispatch("reboot", [{"correlation_id": 7}])
    assert answer["correlation_id"] == 7
    assert "'reboot'" in answer["error"]
    assert all(topic.name in answer["error"] for topic in harness.topics)


async def test_an_answer_is_observed_by_topic_and_outcome(harness: CommandHarness) -> None:
    await harness.send("get_device_status", device_id="plc-1")
    await harness.send("get_consumption_device", device_id="plc-1")
    await harness.send("invented-by-a-sender")
    expected = [("get_device_status", "success"), ("get_consumption_device", "error"), ("other", "error")]
    assert harness.observed == expected


@pytest.mark.parametrize(
    ("received", "echoed"),
    [(1, 1), (1.5, 1.5), ("a", "a"), (True, True), (None, None), (math.nan, None), ({}, None), ("x" * 300, None)],
)
async def test_the_correlation_id_is_echoed_if_it_can_be_sent_back(
    harness: CommandHarness, received: Any, echoed: Any
) -> None:
    assert (await harness.dispatch("delete_device", [{"correlation_id": received}]))["correlation_id"] == echoed


Command = Callable[[Any], Awaitable[Any]]


def dispatcher(command: Command, **limits: int) -> Dispatcher:
    """A dispatcher whose only topic is a query that ``command`` answers."""
    unused: Any = None
    topic = Topic("query", Message, command, Semantics.QUERY)
    return Dispatcher((topic,), unused, "lenient", lambda *_: None, **limits)


def query(number: int = 7) -> Incoming:
    """The event of that topic."""
    return Incoming("query", [{"correlation_id": number}], wants_acknowledgement=True)


def circular() -> Any:
    """An answer that contains itself."""
    answer: dict[str, Any] = {}
    answer["inner"] = answer
    return answer


@pytest.mark.parametrize(
    ("result", "error"),
    [
        pytest.param({"body": "x" * MAX_ANSWER}, "ask for less", id="large"),
        pytest.param({"body": "\ud800" * (MAX_ANSWER // 6)}, "ask for less", id="large-when-escaped"),
        pytest.param({"body": b"\0"}, "cannot be sent as JSON", id="binary"),
        pytest.param({"body": math.inf}, "cannot be sent as JSON", id="infinity"),
        pytest.param({"body": {(1, 2): 3}}, "cannot be sent as JSON", id="key"),
        pytest.param({"body": {1, 2}}, "cannot be sent as JSON", id="set"),
        pytest.param({"body": deep(100_000)}, "cannot be sent as JSON", id="deep"),
        pytest.param(circular(), "cannot be sent as JSON", id="circular"),
        pytest.param(None, INTERNAL_ERROR, id="none"),
        pytest.param([1], INTERNAL_ERROR, id="list"),
        pytest.param(errors.CommandError("not now"), "not now", id="refusal"),
        pytest.param(errors.CommandError("x" * 10_000_000), "xxx", id="long-refusal"),
        pytest.param(errors.ContractError("no", [errors.Fault("a", "b")]), "no", id="faults"),
        pytest.param(errors.NotFoundError("no such object"), "no such object", id="api"),
        pytest.param(ZeroDivisionError(), INTERNAL_ERROR, id="bug"),
        pytest.param(RecursionError(), INTERNAL_ERROR, id="recursion"),
        pytest.param(MemoryError(), INTERNAL_ERROR, id="memory"),
        pytest.param(ExceptionGroup("several", [ZeroDivisionError()]), INTERNAL_ERROR, id="group"),
        pytest.param(asyncio.CancelledError(), CANCELLED, id="cancelled-inside"),
    ],
)
async def test_whatever_a_command_returns_or_raises_is_answered_and_ends(result: Any, error: str) -> None:
    results = [result, {"status": "success"}]

    async def command(_: Any) -> Any:
        answer = results.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    under_test = dispatcher(command, max_in_flight=1)
    answer = await under_test.answer(query())
    assert is_answer(answer, "query")
    assert (answer["status"], answer["correlation_id"]) == ("error", 7)
    assert error in answer["error"]
    assert len(json.dumps(answer)) <= MAX_ANSWER
    assert (await under_test.answer(query()))["status"] == "success"  # the failed one counts no longer


@pytest.mark.parametrize("failure", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_what_ends_the_process_passes(failure: type[BaseException]) -> None:
    async def command(_: Any) -> Any:
        raise failure

    coroutine = dispatcher(command).answer(query())
    with pytest.raises(failure):
        coroutine.send(None)


async def test_cancelling_the_caller_cancels_a_query_and_frees_its_place() -> None:
    reached, gate = asyncio.Event(), asyncio.Event()

    async def command(_: Any) -> Any:
        reached.set()
        await gate.wait()
        return {"status": "success"}

    under_test = dispatcher(command, max_in_flight=1)
    first = asyncio.create_task(under_test.answer(query()))
    await reached.wait()
    assert "busy" in (await under_test.answer(query(8)))["error"]
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    gate.set()
    assert (await under_test.answer(query(9)))["status"] == "success"


async def test_a_journaled_answer_that_is_too_large_is_refused_each_time(harness: CommandHarness) -> None:
    await harness.send("create_new_runtime", container_name="plc-1", vnic_configs=[vnic()])
    status = {"state": "Running", "internalIP": "10.213.0.2"}
    await harness.api.patch(kinds.RUNTIMES, "plc-1", NAMESPACE, {"status": status}, subresource="status")
    harness.node.response = HttpResponse(200, {}, "x" * MAX_ANSWER, "text/plain")
    message = harness.message("run_command", device_id="plc-1", method="POST", api="/api/logs")
    first = await harness.dispatch("run_command", [message])
    assert "ask for less" in first["error"]
    assert await harness.dispatch("run_command", [message]) == first
    assert len(harness.node.requests) == 1


async def test_a_bug_is_logged_and_answered(
    harness: CommandHarness, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(verb: str, kind: Any) -> None:
        raise ZeroDivisionError

    harness.api.fault = bug
    for topic in ("get_device_status", "delete_device"):
        with caplog.at_level(logging.ERROR):
            answer = await harness.send(topic, device_id="plc-1")
        assert answer["error"] == INTERNAL_ERROR
        assert "ZeroDivisionError" in caplog.text
        caplog.clear()
