"""start, stop and restart: change the spec and answer once the Runtime follows it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller import names
from controller.api import kinds
from controller.cloud.commands import power
from tests.cloud.commands.conftest import recreate_before
from tests.support.command_harness import NAMESPACE, CommandHarness, Operator, condition, vnic
from tests.support.direct_api import DirectApi


async def create(harness: CommandHarness, name: str = "plc-1") -> None:
    """Create a Runtime through the cloud."""
    answer = await harness.send("create_new_runtime", container_name=name, vnic_configs=[vnic()])
    assert answer["status"] == "creating"


async def set_status(api: DirectApi, generation: int, *conditions: dict[str, Any]) -> None:
    """Write a status as a reconciler would."""
    status = {"observedGeneration": generation, "state": "Running", "conditions": list(conditions)}
    await api.patch(kinds.RUNTIMES, "plc-1", NAMESPACE, {"status": status}, subresource="status")


async def pending_stop(harness: CommandHarness) -> asyncio.Task[dict[str, Any]]:
    """Send stop_device and wait until it has written the spec and waits for the Runtime."""
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
async def test_the_answer_comes_once_the_desired_state_is_reached(
    harness: CommandHarness, operator: Operator, topic: str, desired: dict[str, Any]
) -> None:
    await create(harness)
    answer = await harness.send(topic, device_id="plc-1")
    assert (answer["status"], answer["success"], answer["device_id"]) == ("success", True, "plc-1")
    runtime = await harness.runtime("plc-1")
    assert runtime["spec"].items() >= desired.items()
    assert runtime["status"]["observedGeneration"] == runtime["metadata"]["generation"]


async def test_two_restarts_of_the_same_moment_are_distinct(harness: CommandHarness, operator: Operator) -> None:
    await create(harness)
    tokens = []
    for _ in range(2):
        await harness.send("restart_device", device_id="plc-1")
        tokens.append((await harness.runtime("plc-1"))["spec"]["restartedAt"])
    assert tokens[0] != tokens[1]
    assert all(token.startswith("2026-01-01T00:00:00.123") for token in tokens)


async def test_a_timeout_keeps_the_change_and_reports_what_it_waits_for(api: DirectApi) -> None:
    harness = CommandHarness(api, seconds=0.05)
    await create(harness)
    await set_status(api, 1, condition(names.RECONCILING, "True", 1, "the host has no interface eth5 now"))
    answer = await harness.send("stop_device", device_id="plc-1")
    assert answer["status"] == "error"
    assert "the change stays in effect" in answer["error"]
    assert "the host has no interface eth5 now" in answer["error"]
    assert (await harness.runtime("plc-1"))["spec"]["desiredState"] == "Stopped"


async def test_a_stall_is_reported_at_once(harness: CommandHarness, api: DirectApi) -> None:
    await create(harness)
    sending = asyncio.create_task(harness.send("stop_device", device_id="plc-1"))
    await harness.api_has("patch", 1)
    await set_status(api, 2, condition(names.STALLED, "True", 2, "the disk is gone"))
    assert "the disk is gone" in (await sending)["error"]


async def test_a_stall_of_an_older_generation_is_ignored(harness: CommandHarness, api: DirectApi) -> None:
    await create(harness)
    await set_status(api, 1, condition(names.STALLED, "True", 1, "the image is not there"))
    sending = await pending_stop(harness)
    await set_status(api, 2, condition(names.READY, "True", 2))
    assert (await sending)["success"] is True


async def test_waiting_survives_the_end_of_a_watch(harness: CommandHarness, api: DirectApi) -> None:
    await create(harness)
    api.watch_seconds = 0.05
    sending = await pending_stop(harness)
    api.watch_seconds = 1800.0
    await api.patch(kinds.RUNTIMES, "plc-1", NAMESPACE, {"metadata": {"labels": {"line": "a"}}})
    await harness.api_has("watch", 2)
    await set_status(api, 2, condition(names.READY, "True", 2))
    assert (await sending)["success"] is True


async def test_a_concurrent_deletion_is_reported(harness: CommandHarness, api: DirectApi) -> None:
    await create(harness)
    sending = await pending_stop(harness)
    await api.remove(kinds.RUNTIMES, "plc-1", NAMESPACE)
    assert "deleted in the meantime" in (await sending)["error"]


async def test_a_concurrent_change_of_the_desired_state_is_reported(harness: CommandHarness, api: DirectApi) -> None:
    await create(harness)
    sending = await pending_stop(harness)
    await api.patch(kinds.RUNTIMES, "plc-1", NAMESPACE, {"spec": {"desiredState": "Running"}})
    assert "was changed to Running" in (await sending)["error"]


async def test_an_unknown_device_is_an_error(harness: CommandHarness) -> None:
    assert "no device plc-7" in (await harness.send("start_device", device_id="plc-7"))["error"]


async def test_a_runtime_that_was_created_again_meanwhile_is_not_changed(
    harness: CommandHarness, api: DirectApi
) -> None:
    await create(harness)
    spec = await recreate_before(api, "patch")
    answer = await harness.send("stop_device", device_id="plc-1")

    assert "created again in the meantime" in answer["error"]
    assert (await harness.runtime("plc-1"))["spec"] == spec


@pytest.mark.parametrize(
    ("requested_at", "beginning"),
    [
        ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00.000"),
        ("2026-01-01T00:00:00.1239", "2026-01-01T00:00:00.123"),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00.000"),
    ],
)
def test_the_token_of_a_restart_is_a_time_in_utc(requested_at: str, beginning: str) -> None:
    assert power.restart_token(requested_at, "a command").startswith(beginning)


@pytest.mark.parametrize("requested_at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
async def test_a_time_beyond_the_calendar_is_a_fault_of_the_message(harness: CommandHarness, requested_at: str) -> None:
    await create(harness)
    answer = await harness.send("restart_device", device_id="plc-1", requested_at=requested_at)
    assert "requested_at must be an ISO 8601 date-time" in answer["error"]
