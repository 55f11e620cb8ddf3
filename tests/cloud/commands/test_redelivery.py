"""A redelivered command gets the first answer and acts once: concurrently, later, and after a restart."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest

from controller import errors
from controller.api import kinds
from controller.machinery.kinds import Kind
from controller.node_api.node import HttpResponse
from tests.cloud.commands.conftest import create_message, reconciled
from tests.support.command_harness import NAMESPACE, CommandHarness, Operator
from tests.support.direct_api import DirectApi

EMPTY: dict[str, Any] = {"headers": {}, "body": None, "content_type": "", "truncated": True}


async def prepare_request(harness: CommandHarness, code: int = 200) -> dict[str, Any]:
    """Create a runtime that answers with a secret, and return the message of a request to it."""
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    await reconciled(harness)
    harness.node.response = HttpResponse(code, {"Set-Cookie": "secret"}, {"token": "secret"}, "application/json")
    return harness.message("run_command", device_id="plc-1", method="POST", api="/login", data={"password": "secret"})


def command_of_0_1(message: dict[str, Any]) -> dict[str, Any]:
    """A command as version 0.1 recorded it: named by an unkeyed hash, with the runtime's whole response."""
    canonical = json.dumps(message, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(f"run_command\n{canonical}".encode()).hexdigest()
    answer = {
        "status": "error",
        "error": "the runtime answered 401 Unauthorized",
        "http_response": {"status_code": 401, "headers": {"Set-Cookie": "secret"}, "body": "secret", "ok": False},
    }
    return {
        "metadata": {"name": f"run-command-{digest[:20]}", "namespace": NAMESPACE},
        "spec": {
            "topic": "run_command",
            "deviceId": message["device_id"],
            "correlationId": str(message["correlation_id"]),
            "requestedAt": message["requested_at"],
            "payloadHash": digest,
            "receivedAt": "2026-01-01T00:00:00.000000Z",
            "sequence": 7,
            "changes": False,
        },
        "status": {"outcome": "Failed", "finishedAt": "2026-01-01T00:00:00Z", "answer": json.dumps(answer)},
    }


def runtimes(harness: CommandHarness) -> set[str]:
    """The names of the Runtimes."""
    return {name for plural, _, name in harness.api.objects if plural == kinds.RUNTIMES.plural}


async def record(harness: CommandHarness, command: dict[str, Any]) -> None:
    """Put a command into the journal, with its status."""
    name, status = command["metadata"]["name"], {"status": command["status"]}
    await harness.api.create(kinds.RUNTIME_COMMANDS, command)
    await harness.api.patch(kinds.RUNTIME_COMMANDS, name, NAMESPACE, status, subresource="status")


async def test_concurrent_deliveries_act_once(harness: CommandHarness, operator: Operator) -> None:
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    restart = harness.message("restart_device", device_id="plc-1")
    first, second = await asyncio.gather(*(harness.dispatch("restart_device", [restart]) for _ in range(2)))
    assert first == second
    assert first["success"] is True
    assert operator.starts["plc-1"] == 2


async def test_a_redelivery_gets_the_first_answer(harness: CommandHarness, operator: Operator) -> None:
    message = create_message(harness)
    first = await harness.dispatch("create_new_runtime", [message])
    await harness.send("delete_device", device_id="plc-1")
    await harness.api.until(lambda: not runtimes(harness))
    assert await harness.dispatch("create_new_runtime", [message]) == first
    assert not runtimes(harness)


async def test_a_redelivery_gets_the_first_refusal(harness: CommandHarness, operator: Operator) -> None:
    message = harness.message("stop_device", device_id="plc-1")
    first = await harness.dispatch("stop_device", [message])
    assert first["status"] == "error"
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    assert await harness.dispatch("stop_device", [message]) == first
    assert (await harness.runtime("plc-1"))["spec"]["desiredState"] == "Running"


async def test_a_redelivery_after_a_restart_gets_the_first_answer(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator
) -> None:
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    message = harness.message("restart_device", device_id="plc-1")
    first = await harness.dispatch("restart_device", [message])
    assert await after_restart.dispatch("restart_device", [message]) == first
    assert operator.starts["plc-1"] == 2


async def test_a_lost_link_does_not_end_a_command(harness: CommandHarness, api: DirectApi) -> None:
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    message = harness.message("restart_device", device_id="plc-1")
    on_lost_link = asyncio.create_task(harness.dispatch("restart_device", [message]))
    await harness.api_has("watch", 1)
    on_lost_link.cancel()
    on_next_link = asyncio.create_task(harness.dispatch("restart_device", [message]))
    await asyncio.sleep(0)
    await Operator(api).reconcile(await harness.runtime("plc-1"))
    assert (await on_next_link)["success"] is True
    assert api.requests.count(("create", "runtimecommands")) == 2  # the creation, and one restart


async def test_without_requested_at_nothing_counts_as_redelivered(api: DirectApi, operator: Operator) -> None:
    harness = CommandHarness(api, mode="lenient")
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    message = {"correlation_id": 1, "device_id": "plc-1"}
    for _ in range(2):
        assert (await harness.dispatch("restart_device", [message]))["success"] is True
    assert operator.starts["plc-1"] == 3


async def test_a_redelivery_while_the_answer_is_being_saved_gets_that_answer(
    harness: CommandHarness, api: DirectApi
) -> None:
    message = create_message(harness)
    first = asyncio.create_task(harness.dispatch("create_new_runtime", [message]))
    await harness.api_has("patch", 1, kinds.RUNTIME_COMMANDS)
    assert not first.done()
    assert await harness.dispatch("create_new_runtime", [message]) == await first
    assert api.requests.count(("create", "runtimecommands")) == 1


async def test_a_redelivered_request_gets_the_whole_answer_while_it_is_in_memory(
    harness: CommandHarness, operator: Operator
) -> None:
    message = await prepare_request(harness)
    first = await harness.dispatch("run_command", [message])
    assert first["http_response"]["body"] == {"token": "secret"}
    assert await harness.dispatch("run_command", [message]) == first
    assert len(harness.node.requests) == 1


@pytest.mark.parametrize(("code", "status"), [(200, "success"), (302, "success"), (404, "error"), (500, "error")])
async def test_a_request_redelivered_after_a_restart_gets_its_outcome_without_content(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator, code: int, status: str
) -> None:
    message = await prepare_request(harness, code)
    first = await harness.dispatch("run_command", [message])
    again = await after_restart.dispatch("run_command", [message])
    assert again == {**first, "http_response": {**EMPTY, "status_code": code, "ok": code < 400}}
    assert again["status"] == status
    assert after_restart.node.requests == []


async def test_a_request_with_another_payload_is_not_a_redelivery(harness: CommandHarness, operator: Operator) -> None:
    message = await prepare_request(harness)
    await harness.dispatch("run_command", [message])
    await harness.dispatch("run_command", [{**message, "data": {"user": "another"}}])
    assert len(harness.node.requests) == 2


@pytest.mark.parametrize("topic", ["start_device", "stop_device", "restart_device"])
async def test_no_answer_is_sent_before_its_outcome_is_saved(
    harness: CommandHarness, operator: Operator, monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    await reconciled(harness)
    keeping, written, close = asyncio.Event(), asyncio.Event(), harness.journal.close

    async def slowly(*arguments: Any) -> None:
        keeping.set()
        await written.wait()
        await close(*arguments)

    monkeypatch.setattr(harness.journal, "close", slowly)
    sending = asyncio.create_task(harness.send(topic, device_id="plc-1"))
    await keeping.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not sending.done()
    written.set()
    assert (await sending)["success"] is True


@pytest.mark.parametrize("topic", ["start_device", "stop_device", "restart_device"])
async def test_the_outcome_is_on_disk_when_the_answer_is_sent(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator, topic: str
) -> None:
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    await reconciled(harness)
    message = harness.message(topic, device_id="plc-1")
    first = await harness.dispatch(topic, [message])
    kept = [c for c in await harness.api.list(kinds.RUNTIME_COMMANDS, NAMESPACE) if c["spec"]["topic"] == topic]
    assert [command["status"]["outcome"] for command in kept] == ["Succeeded"]
    starts = operator.starts["plc-1"]
    assert await after_restart.dispatch(topic, [message]) == first
    assert operator.starts["plc-1"] == starts


async def test_a_command_whose_outcome_cannot_be_saved_is_answered_and_not_repeated(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.dispatch("create_new_runtime", [create_message(harness)])
    await reconciled(harness)

    def full(verb: str, kind: Kind) -> None:
        if (verb, kind) == ("patch", kinds.RUNTIME_COMMANDS):
            raise errors.ApiUnavailableError("the disk is full")

    harness.api.fault = full
    message = harness.message("restart_device", device_id="plc-1")
    first = await harness.dispatch("restart_device", [message])
    assert first["success"] is True
    assert "Failed to save the command's outcome: the disk is full" in caplog.text
    assert await harness.dispatch("restart_device", [message]) == first
    assert await after_restart.dispatch("restart_device", [message]) == first
    assert operator.starts["plc-1"] == 2


async def test_a_command_of_0_1_is_recognised_and_its_response_removed(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator
) -> None:
    message = await prepare_request(harness)
    old = command_of_0_1(message)
    await record(harness, old)
    again = await after_restart.dispatch("run_command", [message])
    assert again["status"] == "error"
    assert again["http_response"] == {**EMPTY, "status_code": 401, "ok": False}
    assert after_restart.node.requests == []
    stripped = await harness.api.get(kinds.RUNTIME_COMMANDS, old["metadata"]["name"], NAMESPACE)
    assert stripped["status"]["statusCode"] == 401
    assert "secret" not in json.dumps(stripped)


async def test_a_manually_edited_answer_is_ignored(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator
) -> None:
    message = await prepare_request(harness)
    for answer in ("{", "[]"):
        old = command_of_0_1(message)
        old["metadata"]["name"] += str(len(harness.api.objects))
        await record(harness, {**old, "status": {"outcome": "Succeeded", "answer": answer}})
    assert "outcome unknown" in (await after_restart.dispatch("run_command", [message]))["error"]


async def test_a_command_that_cannot_be_recorded_is_not_executed(harness: CommandHarness) -> None:
    def away(verb: str, kind: Kind) -> None:
        if (verb, kind) == ("create", kinds.RUNTIME_COMMANDS):
            raise errors.ApiUnavailableError("the Kubernetes API did not answer")

    harness.api.fault = away
    answer = await harness.dispatch("create_new_runtime", [create_message(harness)])
    assert answer["error"] == "the Kubernetes API did not answer"
    assert not runtimes(harness)


async def test_the_journal_shows_the_command_and_its_outcome(harness: CommandHarness, operator: Operator) -> None:
    message = create_message(harness)
    answer = await harness.dispatch("create_new_runtime", [message])
    (command,) = await harness.api.list(kinds.RUNTIME_COMMANDS, NAMESPACE)
    assert command["metadata"]["name"].startswith("create-new-runtime-")
    assert command["spec"].items() >= {"topic": "create_new_runtime", "deviceId": "plc-1", "sequence": 1}.items()
    assert command["spec"]["correlationId"] == str(message["correlation_id"])
    kept = json.loads(command["status"]["answer"])
    assert {**kept, "action": "create_new_runtime", "correlation_id": message["correlation_id"]} == answer
