"""Golden files: a message in, its answer out, for every topic; and the Runtime afterwards where there is one.

golden/<topic>/<case>.json holds ``message`` (sent as it is, completed with correlation_id 1, action and requested_at
where these are missing and ``complete`` is not false) and what is expected: ``answer`` in full, or ``faults``, or
``error``, the sentence; and ``runtime``, a part of the Runtime afterwards, and ``request``, what the runtime was asked.
``given`` holds Runtimes that stand before, containers of others by name (``strangers``), the runtime's HTTP
``response``, the contracts' mode, and whether the operator is away.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from controller.cloud.node import HttpResponse
from controller.resources import kinds
from tests.support.command_site import NAMESPACE, CommandSite, Operator
from tests.support.fake_api import FakeApi

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(GOLDEN.glob("*/*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_golden(path: Path) -> None:
    case: dict[str, Any] = json.loads(path.read_text())
    topic, given = path.parent.name, case.get("given", {})
    site = CommandSite(FakeApi(), mode=given.get("contracts", "strict"), linger_seconds=3600)
    await prepare(site, given)
    operator = asyncio.create_task(Operator(site.api).run())
    if given.get("operator") == "away":
        operator.cancel()
    try:
        answer = await site.dispatch(topic, [completed(topic, case)])
    finally:
        operator.cancel()
        await site.close()
    assert answer.pop("action") == topic
    assert answer.pop("correlation_id") == expected_correlation(case)
    assert_answer(case, answer)
    if "request" in case:
        assert [dataclasses.asdict(request) for request in site.node.requests] == [case["request"]]
    if "runtime" in case:
        assert_contains(await runtime_of(site, case["runtime"]), case["runtime"])


async def test_every_topic_has_golden_files() -> None:
    assert {path.parent.name for path in CASES} == {topic.name for topic in CommandSite(FakeApi()).topics}


async def prepare(site: CommandSite, given: dict[str, Any]) -> None:
    """Bring about what a case needs."""
    for runtime in given.get("runtimes", ()):
        whole = {**runtime, "metadata": {"namespace": NAMESPACE, **runtime["metadata"]}}
        await site.api.create(kinds.RUNTIMES, whole)
    site.node.strangers = given.get("strangers", {})
    if "response" in given:
        site.node.response = HttpResponse(**given["response"])


def completed(topic: str, case: dict[str, Any]) -> Any:
    """The message with what every message carries."""
    base = {"correlation_id": 1, "action": topic, "requested_at": "2025-11-20T20:30:45.123456"}
    return {**base, **case["message"]} if case.get("complete", True) else case["message"]


def expected_correlation(case: dict[str, Any]) -> Any:
    """What the answer must carry, given the message."""
    if not case.get("complete", True):
        return case.get("correlation_id")
    return case["message"].get("correlation_id", 1)


def assert_answer(case: dict[str, Any], answer: dict[str, Any]) -> None:
    """The whole answer, or its faults, or its sentence."""
    if "answer" in case:
        assert answer == case["answer"]
        return
    assert answer["status"] == "error"
    if "faults" in case:
        assert {fault["field"]: fault["error"] for fault in answer["errors"]} == case["faults"]
    else:
        assert answer == {"status": "error", "error": case["error"]}


async def runtime_of(site: CommandSite, expected: dict[str, Any]) -> dict[str, Any]:
    """The Runtime that a case speaks of."""
    metadata = expected["metadata"]
    found: dict[str, Any] = await site.api.get(kinds.RUNTIMES, metadata["name"], metadata.get("namespace", NAMESPACE))
    return found


def assert_contains(found: Any, expected: Any) -> None:
    """Objects hold at least what is expected, ``spec`` exactly that."""
    for key, value in expected.items():
        if key == "metadata":
            assert found[key].items() >= value.items()
        else:
            assert found[key] == value
