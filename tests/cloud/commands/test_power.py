"""start, stop and restart: a wish in the spec, answered when it has come true."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller import names
from controller.api import kinds
from tests.support.command_harness import NAMESPACE, CommandHarness, Operator, condition, vnic
from tests.support.fake_api import FakeApi


async def create(harness: CommandHarness, name: str = "plc-1") -> None:
    """One runtime of the cloud."""
    answer = await harness.send("create_new_runtime", container_name=name, vnic_configs=[vnic()])
    assert answer["status"] == "creating"


async def set_status(api: FakeApi, generation: int, *conditions: dict[str, Any]) -> None:
    """The status that a reconciler would have written."""
    status = {"observedGeneration": generation, "state": "running", "conditions": list(conditions)}
    await api.patch(kinds.RUNTIMES, "plc-1", NAMESPACE, {"status": status}, subresource="status")


async def stopping(harness: CommandHarness) -> asyncio.Task[dict[str, Any]]:
    """A stop of the runtime, under way: its wish is written and awaited."""
    sending = asyncio.create_task(harness.send("stop_device", device_id="plc-1"))
    await harness.api_has("watch", 1)
    return sending


@pytest.mark.parametrize(
    ("topic", "desired"),
    [
        ("start_device", {"desiredState": "Running"}),
        ("stop_device", {"desiredState": "Stopped"}),
        ("restart_device", {"desiredState": "Running"}),
    ],
)
async def test_it_is_answered_once_the_wish_has_come_true(
    harness: CommandHarness, operator: Operator, topic: str, desired: dict[str, Any]
) -> None:
    await create(harness)
    answer = await harness.send(topic, device_id="plc-1")
    assert (answer["status"], answer["success"], answer["device_id"]) == ("success", True, "plc-1")
    runtime = await harness.runtime("plc-1")
    assert runtime["spec"].items() >= desired.items()
    assert runtime["status"]["observedGeneration"] == runtime["metadata"]["generation"]


async def test_two_restarts_of_one_moment_are_two_restarts(harness: CommandHarness, operator: Operator) -> None:
    await create(harness)
    tokens = []
    for _ in range(2):
        await harness.send("restart_device", device_id="plc-1")
        tokens.append((await harness.runtime("plc-1"))["spec"]["restartedAt"])
    assert tokens[0] != tokens[1]
    assert all(token.startswith("2026-01-01T00:00:00.123") for token in tokens)


async def test_when_time_is_up_the_wish_stands_and_the_answer_says_what_it_waits_for(api: FakeApi) -> None:
    harness = CommandHarness(api, seconds=0.05)
    await create(harness)
    await set_status(api, 1, condition(names.RECONCILING, "True", 1, "the host has no interface eth5 now"))
    answer = await harness.send("stop_device", device_id="plc-1")
    assert answer["status"] == "error"
    assert "the change stays in effect" in answer["error"]
    assert "the host has no interface eth5 now" in answer["error"]
    assert (await harness.runtime("plc-1"))["spec"]["desiredState"] == "Stopped"


async def test_a_stall_is_told_at_once(harness: CommandHarness, api: FakeApi) -> None:
    await create(harness)
    sending = asyncio.create_task(harness.send("stop_device", device_id="plc-1"))
    await harness.api_has("patch", 1)
    await set_status(api, 2, condition(names.STALLED, "True", 2, "the disk is gone"))
    assert "the disk is gone" in (await sending)["error"]


async def test_an_older_stall_does_not_count(harness: CommandHarness, api: FakeApi) -> None:
    await create(harness)
    await set_status(api, 1, condition(names.STALLED, "True", 1, "the image is not there"))
    sending = await stopping(harness)
    await set_status(api, 2, condition(names.READY, "True", 2))
    assert (await sending)["success"] is True


async def test_it_rides_over_a_watch_that_ends(harness: CommandHarness, api: FakeApi) -> None:
    await create(harness)
    sending = await stopping(harness)
    api.end_watches()
    await harness.api_has("watch", 2)
    await set_status(api, 2, condition(names.READY, "True", 2))
    assert (await sending)["success"] is True


async def test_a_device_deleted_meanwhile_is_said_so(harness: CommandHarness, api: FakeApi) -> None:
    await create(harness)
    sending = await stopping(harness)
    api.remove(kinds.RUNTIMES, "plc-1", NAMESPACE)
    assert "deleted in the meantime" in (await sending)["error"]


async def test_another_wish_of_somebody_else_meanwhile_is_said_so(harness: CommandHarness, api: FakeApi) -> None:
    await create(harness)
    sending = await stopping(harness)
    await api.patch(kinds.RUNTIMES, "plc-1", NAMESPACE, {"spec": {"desiredState": "Running"}})
    assert "was changed to Running" in (await sending)["error"]


async def test_an_unknown_device_is_an_error(harness: CommandHarness) -> None:
    assert "no device plc-7" in (await harness.send("start_device", device_id="plc-7"))["error"]
