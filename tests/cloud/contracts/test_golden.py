"""Golden files for every topic: a message, the expected answer, and the expected Runtime afterwards.

golden/<topic>/<case>.json holds ``message`` (completed with correlation_id 1, action and requested_at if these are
missing, unless ``complete`` is false) and the expected result: the whole ``answer``, or ``faults``, or the sentence
``error``; also ``runtime``, a part of the Runtime afterwards, and ``request``, the request that the runtime received.
``given`` holds existing Runtimes (created by ``manager``, and deleted again if ``deleted``), containers of others by
name (``foreign_containers``), the runtime's HTTP ``response``, the contracts' mode, and whether the operator is away.
``varying`` names fields of the answer that hold timestamps of the API.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.api import kinds
from controller.machinery.client import ApiClient
from controller.node_api.node import HttpResponse
from tests.support.command_harness import NAMESPACE, CommandHarness, Operator
from tests.support.embedded_api import EmbeddedApi

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(GOLDEN.glob("*/*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_golden(path: Path, empty_api: EmbeddedApi) -> None:
    case: dict[str, Any] = json.loads(path.read_text())
    topic, given = path.parent.name, case.get("given", {})
    async with clients(empty_api, given) as (ours, theirs):
        harness = CommandHarness(ours, mode=given.get("contracts", "strict"), linger_seconds=3600)
        await prepare(harness, theirs, given)
        operator = asyncio.create_task(operate(ours, given))
        try:
            answer = await harness.dispatch(topic, [completed(topic, case)])
        finally:
            operator.cancel()
            await asyncio.gather(operator, return_exceptions=True)
            await harness.close()
        await check(case, topic, answer, harness)


async def test_every_topic_has_golden_files() -> None:
    assert {path.parent.name for path in CASES} == {topic.name for topic in CommandHarness(None).topics}


@contextlib.asynccontextmanager
async def clients(api: EmbeddedApi, given: dict[str, Any]) -> AsyncIterator[tuple[ApiClient, ApiClient]]:
    """Our API client, and that of the field manager of the existing Runtimes."""
    ours, theirs = api.client(), api.client(given.get("manager", "edge-controller"))
    try:
        yield ours, theirs
    finally:
        await ours.close()
        await theirs.close()


async def prepare(harness: CommandHarness, theirs: ApiClient, given: dict[str, Any]) -> None:
    """Set up what a case needs."""
    for runtime in given.get("runtimes", ()):
        whole = {**runtime, "metadata": {"namespace": NAMESPACE, **runtime["metadata"]}}
        name, namespace = whole["metadata"]["name"], whole["metadata"]["namespace"]
        await theirs.create(kinds.RUNTIMES, whole)
        if status := runtime.get("status"):
            await theirs.patch(kinds.RUNTIMES, name, namespace, {"status": status}, subresource="status")
        if given.get("deleted"):
            await theirs.delete(kinds.RUNTIMES, name, namespace)
    harness.node.foreign_containers = given.get("foreign_containers", {})
    if "response" in given:
        harness.node.response = HttpResponse(**given["response"])


async def operate(api: ApiClient, given: dict[str, Any]) -> None:
    """Run the operator unless it is away; it reconciles changed Runtimes, not those that exist already."""
    if given.get("operator") != "away":
        await Operator(api).run()


async def check(case: dict[str, Any], topic: str, answer: dict[str, Any], harness: CommandHarness) -> None:
    """Compare the results with the expected ones."""
    assert answer.pop("action") == topic
    assert answer.pop("correlation_id") == expected_correlation(case)
    if "runtime" in case:
        metadata = case["runtime"]["metadata"]
        found = await harness.api.get(kinds.RUNTIMES, metadata["name"], metadata.get("namespace", NAMESPACE))
        assert_contains(found, case["runtime"])
    if "request" in case:
        assert [dataclasses.asdict(request) for request in harness.node.requests] == [case["request"]]
    assert_answer(case, answer)


def completed(topic: str, case: dict[str, Any]) -> Any:
    """The message with the fields of every message."""
    base = {"correlation_id": 1, "action": topic, "requested_at": "2025-11-20T20:30:45.123456"}
    return {**base, **case["message"]} if case.get("complete", True) else case["message"]


def expected_correlation(case: dict[str, Any]) -> Any:
    """The expected correlation id of the answer."""
    if not case.get("complete", True):
        return case.get("correlation_id")
    return case["message"].get("correlation_id", 1)


def assert_answer(case: dict[str, Any], answer: dict[str, Any]) -> None:
    """Compare the whole answer, its faults, or its error."""
    if "answer" in case:
        varying = {key: case["answer"][key] for key in case.get("varying", ())}
        assert all(answer[key] for key in varying)
        assert {**answer, **varying} == case["answer"]
        return
    assert answer["status"] == "error"
    if "faults" in case:
        assert {fault["field"]: fault["error"] for fault in answer["errors"]} == case["faults"]
    else:
        assert answer == {"status": "error", "error": case["error"]}


def assert_contains(found: Any, expected: Any) -> None:
    """Objects must contain at least the expected fields, with null for absent ones; lists must match exactly."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert_contains(found.get(key), value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_contains(one, other)
    else:
        assert found == expected


def test_every_topic_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
    assert not [topic.name for topic in CommandHarness(None).topics if f"`{topic.name}`" not in page]
