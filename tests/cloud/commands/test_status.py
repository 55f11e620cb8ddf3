"""get_device_status: the uptime, and a state that cannot be observed."""

from __future__ import annotations

from typing import Any

import pytest

from controller import errors, names
from controller.api import kinds
from controller.node_api.node import Reading
from tests.support.command_harness import NAMESPACE, CommandHarness, condition, vnic
from tests.support.direct_api import DirectApi

HOST_UPTIME = 3600  # of FakeNode


async def uptime(harness: CommandHarness, api: DirectApi, **status: Any) -> Any:
    """The reported uptime of a runtime with that status."""
    await harness.send("create_new_runtime", container_name="plc-1", vnic_configs=[vnic()])
    current = {"observedGeneration": 1, "state": "Running"} | status
    await api.patch(kinds.RUNTIMES, "plc-1", NAMESPACE, {"status": current}, subresource="status")
    return (await harness.send("get_device_status", device_id="plc-1"))["uptime_seconds"]


@pytest.mark.parametrize("started_at", ["1970-01-01T00:00:30Z", "2025-12-31T23:00:00Z", "2080-01-01T00:00:00Z"])
async def test_the_uptime_does_not_depend_on_the_time_of_day(
    harness: CommandHarness, api: DirectApi, started_at: str
) -> None:
    assert await uptime(harness, api, startedAt=started_at, startedSeconds=HOST_UPTIME - 600) == 600


async def test_the_uptime_is_never_negative(harness: CommandHarness, api: DirectApi) -> None:
    assert await uptime(harness, api, startedAt="2025-12-31T23:00:00Z", startedSeconds=HOST_UPTIME + 1) == 0


async def test_without_an_answer_from_the_host_there_is_no_uptime(
    harness: CommandHarness, api: DirectApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> Reading:
        raise errors.CommandError("node node-1 did not answer")

    monkeypatch.setattr(harness.node, "reading", away)
    assert await uptime(harness, api, startedAt="2025-12-31T23:00:00Z", startedSeconds=7) is None


async def test_the_uptime_of_a_pod_uses_the_time_of_day(harness: CommandHarness, api: DirectApi) -> None:
    assert await uptime(harness, api, startedAt="2025-12-31T23:50:00Z") == 600


@pytest.mark.parametrize(("generation", "word", "field"), [(1, "success", "message"), (-1, "creating", "step")])
async def test_an_unresponsive_engine_is_reported(
    harness: CommandHarness, api: DirectApi, generation: int, word: str, field: str
) -> None:
    await harness.send("create_new_runtime", container_name="plc-1", vnic_configs=[vnic()])
    ready = condition(names.READY, "Unknown", 1, "Docker does not answer: start it")
    current = {"observedGeneration": generation, "state": "Running", "conditions": [ready]}
    await api.patch(kinds.RUNTIMES, "plc-1", NAMESPACE, {"status": current}, subresource="status")
    answer = await harness.send("get_device_status", device_id="plc-1")
    assert (answer["status"], answer[field]) == (word, "Docker does not answer: start it")


@pytest.mark.parametrize(("written", "answered"), [("Running", "running"), ("Stopped", "exited"), ("exited", "exited")])
async def test_the_cloud_gets_dockers_words(
    harness: CommandHarness, api: DirectApi, written: str, answered: str
) -> None:
    await harness.send("create_new_runtime", container_name="plc-1", vnic_configs=[vnic()])
    await api.patch(kinds.RUNTIMES, "plc-1", NAMESPACE, {"status": {"state": written}}, subresource="status")
    answer = await harness.send("get_device_status", device_id="plc-1")
    assert (answer["container_status"], answer["is_running"]) == (answered, answered == "running")


@pytest.mark.parametrize(
    ("operation", "step"),
    [
        ({"name": "starting", "step": "AddressInUse", "message": "somebody has 10.0.0.5"}, "somebody has 10.0.0.5"),
        ({"name": "starting", "step": "AddressInUse"}, "AddressInUse"),
        (None, "Docker cannot start it"),
    ],
    ids=["message", "reason", "without-operation"],
)
async def test_a_creation_that_was_interrupted_says_what_it_waits_for(
    harness: CommandHarness, api: DirectApi, operation: dict[str, Any] | None, step: str
) -> None:
    await harness.send("create_new_runtime", container_name="plc-1", vnic_configs=[vnic()])
    ready = condition(names.READY, "False", 1, "Docker cannot start it")
    times = {"startedAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:01Z"}
    current = {"state": "Created", "conditions": [ready]} | ({"operation": operation | times} if operation else {})
    await api.patch(kinds.RUNTIMES, "plc-1", NAMESPACE, {"status": current}, subresource="status")
    answer = await harness.send("get_device_status", device_id="plc-1")
    assert (answer["status"], answer["step"]) == ("creating", step)
