"""Every event gets an answer with action and correlation id; the dispatcher never raises."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cloud.answers import INTERNAL_ERROR
from controller.cloud.contracts import bounds
from tests.support.command_harness import CommandHarness
from tests.support.fake_api import FakeApi

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
topics = st.sampled_from([topic.name for topic in CommandHarness(FakeApi()).topics] + ["reboot", "", "x" * 1000])


def is_answer(answer: Any, event: str) -> bool:
    """Whether it is a dictionary that JSON can carry, with the fields of every answer."""
    json.dumps(answer, allow_nan=False)
    return answer["action"] == event and "correlation_id" in answer and isinstance(answer["status"], str)


@given(event=topics, arguments=st.lists(messages | payloads, max_size=2), mode=st.sampled_from(["strict", "lenient"]))
def test_anything_is_answered(event: str, arguments: list[Any], mode: Any) -> None:
    async def dispatch() -> Any:
        harness = CommandHarness(FakeApi(), mode=mode, seconds=0.01)
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
async def harness() -> CommandHarness:
    """Commands on an empty API."""
    return CommandHarness(FakeApi())


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
