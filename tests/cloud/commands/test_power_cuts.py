"""A power cut during a command: on redelivery it is done once, and undoes no later command."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.api import kinds
from controller.machinery.kinds import Kind
from tests.cloud.commands.conftest import create_message, reconciled
from tests.support.command_harness import CommandHarness, Operator, vnic
from tests.support.direct_api import DirectApi, no_fault


class PowerCut(BaseException):
    """Ends the process; no code catches it."""


def cut_power_at(api: DirectApi, verb: str, kind: Kind, *, nth: int = 1) -> None:
    """End the process instead of the n-th such request from now on."""
    remaining = [nth]

    def fault(seen_verb: str, seen_kind: Kind) -> None:
        if (seen_verb, seen_kind) == (verb, kind):
            remaining[0] -= 1
            if remaining[0] == 0:
                api.fault = no_fault
                raise PowerCut

    api.fault = fault


async def dispatch_interrupted(harness: CommandHarness, topic: str, message: dict[str, Any]) -> None:
    """Send a command that a power cut interrupts."""
    sending = asyncio.create_task(harness.dispatch(topic, [message]))
    await asyncio.wait([sending])
    assert isinstance(sending.exception(), PowerCut)


def outcomes(api: DirectApi) -> dict[str, str]:
    """The outcome of each topic's command."""
    commands = [o for (plural, _, _), o in api.objects.items() if plural == "runtimecommands"]
    return {c["spec"]["topic"]: (c.get("status") or {}).get("outcome", "Pending") for c in commands}


async def interrupted_delete(harness: CommandHarness) -> dict[str, Any]:
    """Delete plc-1, but cut the power before the answer is saved. Returns the message."""
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    message = harness.message("delete_device", device_id="plc-1")
    cut_power_at(harness.api, "patch", kinds.RUNTIME_COMMANDS)
    await dispatch_interrupted(harness, "delete_device", message)
    return message


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        pytest.param("create", kinds.RUNTIME_COMMANDS, id="before-it-is-written-down"),
        pytest.param("create", kinds.RUNTIMES, id="before-it-acts"),
        pytest.param("patch", kinds.RUNTIME_COMMANDS, id="before-the-answer-is-kept"),
    ],
)
async def test_an_interrupted_create_is_done_once_on_redelivery(
    harness: CommandHarness, after_restart: CommandHarness, verb: str, kind: Kind
) -> None:
    message = create_message(harness)
    cut_power_at(harness.api, verb, kind)
    await dispatch_interrupted(harness, "create_new_runtime", message)
    answer = await after_restart.dispatch("create_new_runtime", [message])
    assert answer["status"] == "creating"
    assert (await harness.runtime("plc-1"))["metadata"]["generation"] == 1
    assert outcomes(harness.api) == {"create_new_runtime": "Succeeded"}


@pytest.mark.parametrize("verb", ["patch", "watch"])
async def test_an_interrupted_restart_restarts_once_on_redelivery(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator, verb: str
) -> None:
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    await asyncio.sleep(0)
    message = harness.message("restart_device", device_id="plc-1")
    await reconciled(harness)
    cut_power_at(harness.api, verb, kinds.RUNTIMES)
    await dispatch_interrupted(harness, "restart_device", message)
    assert (await after_restart.dispatch("restart_device", [message]))["success"] is True
    assert operator.starts["plc-1"] == 2


async def test_an_interrupted_delete_succeeds_on_redelivery(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator
) -> None:
    message = await interrupted_delete(harness)
    assert (await after_restart.dispatch("delete_device", [message]))["status"] == "deleting"


@pytest.mark.parametrize(
    ("older", "newer", "state"),
    [("stop_device", "start_device", "Running"), ("start_device", "stop_device", "Stopped")],
)
async def test_a_redelivered_command_does_not_undo_a_newer_one(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator, older: str, newer: str, state: str
) -> None:
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    message = harness.message(older, device_id="plc-1")
    await reconciled(harness)
    cut_power_at(harness.api, "patch", kinds.RUNTIMES)
    await dispatch_interrupted(harness, older, message)
    assert (await after_restart.send(newer, device_id="plc-1", note="newer"))["success"] is True

    answer = await after_restart.dispatch(older, [message])

    assert answer["status"] == "error"
    assert newer in answer["error"]
    assert (await harness.runtime("plc-1"))["spec"]["desiredState"] == state


async def test_a_redelivered_create_does_not_undo_a_later_delete(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator
) -> None:
    message = create_message(harness)
    cut_power_at(harness.api, "patch", kinds.RUNTIME_COMMANDS)
    await dispatch_interrupted(harness, "create_new_runtime", message)
    assert (await after_restart.send("delete_device", device_id="plc-1"))["status"] == "deleting"
    answer = await after_restart.dispatch("create_new_runtime", [message])
    assert "delete_device" in answer["error"]
    assert not [key for key in harness.api.objects if key[0] == "runtimes"]


async def test_a_redelivered_delete_does_not_undo_a_later_create(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator
) -> None:
    message = await interrupted_delete(harness)
    again = after_restart.message("create_new_runtime", container_name="plc-1", vnic_configs=[vnic()], note="again")
    assert (await after_restart.dispatch("create_new_runtime", [again]))["status"] == "creating"
    assert "create_new_runtime" in (await after_restart.dispatch("delete_device", [message]))["error"]
    assert (await harness.runtime("plc-1"))["metadata"].get("deletionTimestamp") is None


async def test_a_request_to_a_runtime_is_never_sent_twice(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator
) -> None:
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    await reconciled(harness)
    message = harness.message("run_command", device_id="plc-1", method="POST", api="/api/start")
    cut_power_at(harness.api, "patch", kinds.RUNTIME_COMMANDS)
    await dispatch_interrupted(harness, "run_command", message)
    for _ in range(2):
        answer = await after_restart.dispatch("run_command", [message])
        assert answer["status"] == "error"
        assert "outcome unknown" in answer["error"]
    assert len(harness.node.requests) == 1
    assert after_restart.node.requests == []
    assert outcomes(harness.api)["run_command"] == "Unknown"
