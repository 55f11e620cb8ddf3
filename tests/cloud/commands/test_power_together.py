"""start, stop and restart where the API has transactions: the command and the new spec are written together."""

from __future__ import annotations

import asyncio

import pytest

from controller import names
from controller.api import kinds
from controller.machinery.kinds import Kind
from tests.cloud.commands.conftest import create_message, reconciled, recreate_before
from tests.support.command_harness import CommandHarness, Operator
from tests.support.direct_api import DirectApi, Object, no_fault


@pytest.fixture(autouse=True)
async def _created(api: DirectApi, harness: CommandHarness, operator: Operator) -> None:
    """The API has transactions, and plc-1 runs."""
    api.has_transactions = True
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    await reconciled(harness)
    api.requests.clear()


def command_of(api: DirectApi, topic: str) -> Object:
    """The only RuntimeCommand of the topic."""
    (found,) = [
        item
        for (plural, _, _), item in api.objects.items()
        if plural == kinds.RUNTIME_COMMANDS.plural and item["spec"]["topic"] == topic
    ]
    return found


@pytest.mark.parametrize(("topic", "state"), [("stop_device", "Stopped"), ("restart_device", "Running")])
async def test_one_write_records_the_command_and_the_spec_and_another_its_outcome(
    harness: CommandHarness, api: DirectApi, topic: str, state: str
) -> None:
    assert (await harness.send(topic, device_id="plc-1"))["status"] == "success"
    changes = [request for request in api.requests if request[0] in ("create", "patch", "transaction")]
    # Between them the operator writes the status.
    assert changes == [("transaction", "runtimes"), ("patch", "runtimes"), ("patch", "runtimecommands")]
    runtime, command = await harness.runtime("plc-1"), command_of(api, topic)
    assert runtime["spec"]["desiredState"] == state
    assert runtime["metadata"]["annotations"][names.REQUESTED_BY] == f"{topic} {command['metadata']['name']}"
    assert command["status"]["outcome"] == "Succeeded"


async def test_after_a_crash_before_the_answer_the_redelivery_restarts_no_second_time(
    harness: CommandHarness, after_restart: CommandHarness, api: DirectApi
) -> None:
    message, waiting = harness.message("restart_device", device_id="plc-1"), asyncio.Event()

    async def hang(verb: str, kind: Kind) -> None:
        if (verb, kind) == ("patch", kinds.RUNTIME_COMMANDS):
            waiting.set()
            await asyncio.Event().wait()

    api.fault = hang
    sent = asyncio.create_task(harness.dispatch("restart_device", [message]))
    await waiting.wait()
    sent.cancel()
    generation = (await harness.runtime("plc-1"))["metadata"]["generation"]
    api.fault = no_fault
    assert (await after_restart.dispatch("restart_device", [message]))["status"] == "success"
    assert (await harness.runtime("plc-1"))["metadata"]["generation"] == generation


async def test_if_only_the_response_is_lost_the_command_goes_on(harness: CommandHarness, lost_responses: None) -> None:
    assert (await harness.send("restart_device", device_id="plc-1"))["status"] == "success"
    assert (await harness.runtime("plc-1"))["metadata"]["generation"] == 2


async def test_a_runtime_that_was_created_again_meanwhile_is_not_changed(
    harness: CommandHarness, api: DirectApi
) -> None:
    spec = await recreate_before(api, "transaction")
    answer = await harness.send("stop_device", device_id="plc-1")
    assert "created again in the meantime" in answer["error"]
    assert (await harness.runtime("plc-1"))["spec"] == spec
    assert command_of(api, "stop_device")["status"]["outcome"] == "Failed"
