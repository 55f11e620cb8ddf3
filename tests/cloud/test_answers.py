"""Every frame of the cloud gets an answer, and the next command is answered on the same connection."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from controller.cloud.identity import Identity
from controller.cloud.packets import MAX_CHARACTERS
from tests.support.links import RunningLink, echo
from tests.support.wire import WireCloud

BIG = "x" * 1_100_000


def _nested(depth: int) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for _ in range(depth):
        answer = {"inner": answer}
    return answer


async def _dispatch(event: str, arguments: list[Any]) -> Any:
    """Fails in various ways, by event name."""
    match event:
        case "raises":
            raise ZeroDivisionError
        case "cancels":
            raise asyncio.CancelledError
        case "large":
            return {"action": event, "correlation_id": 1, "body": BIG}
        case "bytes":
            return {"body": b"\x00"}
        case "nan":
            return {"usage": float("nan")}
        case "deep":
            return _nested(5000)
        case "nested":
            return _nested(500)
    return await echo(event, arguments)


@pytest.fixture
async def agent(wire: WireCloud, load_wire_identity: Callable[[], Identity]) -> AsyncIterator[RunningLink]:
    """A connected agent."""
    async with RunningLink(wire.url, load_wire_identity, _dispatch, interval=3600) as agent:
        await agent.connected()
        yield agent


async def _assert_still_connected(agent: RunningLink, wire: WireCloud) -> None:
    await wire.send('4299["after",{"correlation_id":99}]')
    (answer,) = await wire.acknowledgement(99)
    assert answer["correlation_id"] == 99
    assert agent.connections == 1


@pytest.mark.parametrize(
    ("frame", "arguments"),
    [
        ('421["t",{"a":1}]', [{"a": 1}]),
        ('421["t"]', []),
        ('421["t",{},{"b":2}]', [{}, {"b": 2}]),
        ('421["t",null]', [None]),
        ('421["t","text"]', ["text"]),
        ('421["t",[1,2]]', [[1, 2]]),
    ],
    ids=["one", "none", "several", "null", "text", "list"],
)
async def test_payloads_of_every_number_and_type_reach_the_dispatcher(
    agent: RunningLink, wire: WireCloud, frame: str, arguments: list[Any]
) -> None:
    await wire.send(frame)
    (answer,) = await wire.acknowledgement(1)
    assert (answer["action"], answer["arguments"]) == ("t", arguments)


@pytest.mark.parametrize(
    ("frames", "name", "error"),
    [
        (["421" + '["t",' + "[" * 100_000 + "]" * 100_000 + "]"], "t", "nested too deeply"),
        (["421" + '["t",{' + f'"a":{"9" * 5000}' + "}]"], "t", "cannot be read"),
        (['421["t",{"a":'], "t", "cannot be read"),
        (['421["t",{"a":"' + "x" * MAX_CHARACTERS + '"}]'], "t", "more than 9 MiB"),
        (['421["t\\u00e9",'], "t\u00e9", "cannot be read"),
        (["421"], "error", "needs a name"),
        (["421{}"], "error", "needs a name"),
        (["421[]"], "error", "needs a name"),
        (["421[5,{}]"], "error", "needs a name"),
        (['421["disconnect"]'], "error", "needs a name"),
        (['421["two\\nlines"]'], "error", "needs a name"),
        (['421["' + "n" * 5000 + '"]'], "error", "needs a name"),
        (['451-1["t",{"_placeholder":true,"num":0}]', b"\x00\x01"], "t", "binary"),
        (['451-1["t",{"_placeholder":true,"num":7}]', b"\x00\x01"], "t", "binary"),
    ],
    ids=[
        "deep", "large number", "cut off", "10 MB", "cut off name", "no data", "object", "empty", "number as name",
        "reserved name", "name of two lines", "long name", "binary", "placeholder without attachment",
    ],
)  # fmt: skip
async def test_events_that_cannot_be_dispatched_get_an_error(
    agent: RunningLink, wire: WireCloud, frames: list[str | bytes], name: str, error: str
) -> None:
    await wire.send(*frames)
    (answer,) = await wire.acknowledgement(1)
    assert (answer["action"], answer["correlation_id"], answer["status"]) == (name, None, "error")
    assert error in answer["error"]
    await _assert_still_connected(agent, wire)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ("raises", "internal error of the controller"),
        ("cancels", "cancelled the command"),
        ("large", "ask for less"),
        ("bytes", "cannot be sent as JSON"),
        ("nan", "cannot be sent as JSON"),
        ("deep", "cannot be sent as JSON"),
    ],
)
async def test_a_failing_dispatcher_or_an_unusable_answer_gives_an_error(
    agent: RunningLink, wire: WireCloud, event: str, error: str
) -> None:
    await wire.send(f'421["{event}",{{"correlation_id":4}}]')
    (answer,) = await wire.acknowledgement(1)
    assert (answer["action"], answer["correlation_id"], answer["status"]) == (event, 4, "error")
    assert error in answer["error"]
    await _assert_still_connected(agent, wire)


@pytest.mark.parametrize("number", ["NaN", "1e999", "{}", "null", "9" * 100, f'"{"x" * 300}"'])
async def test_a_correlation_id_that_cannot_be_sent_back_is_not_echoed(
    agent: RunningLink, wire: WireCloud, number: str
) -> None:
    await wire.send(f'421["raises",{{"correlation_id":{number}}}]')
    (answer,) = await wire.acknowledgement(1)
    assert answer["correlation_id"] is None


async def test_a_deeply_nested_answer_is_sent(agent: RunningLink, wire: WireCloud) -> None:
    await wire.send('421["nested",{}]')
    assert await wire.acknowledgement(1) == [{"action": "nested", "correlation_id": None, **_nested(500)}]


async def test_nan_in_an_answer_gives_an_error(agent: RunningLink, wire: WireCloud) -> None:
    await wire.send('421["t",{"correlation_id":3,"value":NaN}]')
    (answer,) = await wire.acknowledgement(1)
    assert (answer["correlation_id"], answer["status"]) == (3, "error")


async def test_without_a_requested_acknowledgement_the_answer_is_an_event_of_the_same_name(
    agent: RunningLink, wire: WireCloud
) -> None:
    await wire.send('42["t",{"correlation_id":8}]', '42["raises",{"correlation_id":9}]')
    assert await wire.event("t") == ("", [{"action": "t", "correlation_id": 8, "arguments": [{"correlation_id": 8}]}])
    _, (answer,) = await wire.event("raises")
    assert (answer["correlation_id"], answer["status"]) == (9, "error")


@pytest.mark.parametrize(
    "frames",
    [
        ["4"],
        ["4x"],
        ["49"],
        [b"attachment of nothing"],
        ["43"],
        ['4355["answer to nothing"]'],
        ["43{}"],
        ['450-["t"]'],
        ['452-["t"]', "4text where an attachment should be"],
        ['453-["t"]', b"one of three", "4"],
        ["4599999999999-[]"],
        ["40{}"],
        ['44{"message":'],
        ['42/other,1["t"]'],
    ],
    ids=repr,
)
async def test_meaningless_frames_do_not_harm_the_link(
    agent: RunningLink, wire: WireCloud, frames: list[str | bytes]
) -> None:
    await wire.send(*frames)
    await _assert_still_connected(agent, wire)


@pytest.mark.parametrize("length", [899_000, 900_000])
async def test_answers_up_to_the_limit_are_sent(agent: RunningLink, wire: WireCloud, length: int) -> None:
    body = "x" * (length - 100)
    await wire.send(f"421{json.dumps(['t', {'body': body}])}")
    (answer,) = await wire.acknowledgement(1)
    assert answer["arguments"][0]["body"] == body


@pytest.mark.parametrize(
    "payload",
    [
        '{"timestamp":"2026-01-01T00:00:00Z"}',
        "",
        "null",
        '"text"',
        "{},{}",
        "[[[[]]]]",
        '{"a":',
        '{"correlation_id":7}',
    ],
    ids=repr,
)
async def test_the_acknowledgement_of_a_heartbeat_gets_no_answer(
    agent: RunningLink, wire: WireCloud, payload: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    closing = "" if payload.endswith(":") else "]"
    frame = f'["heartbeat_ack"{"," * bool(payload)}{payload}{closing}'
    await wire.send(f"42{frame}", f"421{frame}", '4299["after",{}]')
    packets = [await wire.packet("4")]
    while not packets[-1].startswith("399"):
        packets.append(await wire.packet("4"))
    # The library sends a requested acknowledgement, but an empty one.
    assert [packet for packet in packets if not packet.startswith(("399", '21["heartbeat",'))] == ["31[]"]
    assert "heartbeat_ack" not in caplog.text
