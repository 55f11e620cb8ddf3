"""create_new_runtime where the API has transactions: command, Runtime and answer are written together or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller import names
from controller.api import kinds
from controller.machinery.kinds import Kind
from tests.cloud.commands.conftest import create_message
from tests.support.command_harness import NAMESPACE, CommandHarness
from tests.support.direct_api import DirectApi


@pytest.fixture(autouse=True)
def _transactions(api: DirectApi) -> None:
    """The API has transactions."""
    api.has_transactions = True


def changes_of(api: DirectApi) -> list[tuple[str, str]]:
    """The requests that write."""
    return [(verb, plural) for verb, plural in api.requests if verb not in ("get", "list", "watch")]


def commands_of(api: DirectApi) -> list[dict[str, Any]]:
    """The RuntimeCommands, in the order of their numbers."""
    found = [item for (plural, _, _), item in api.objects.items() if plural == kinds.RUNTIME_COMMANDS.plural]
    return sorted(found, key=lambda item: int(item["spec"]["sequence"]))


async def test_one_write_records_the_command_its_runtime_and_its_answer(
    harness: CommandHarness, api: DirectApi
) -> None:
    answer = await harness.dispatch("create_new_runtime", [create_message(harness)])
    assert answer["status"] == "creating"
    assert changes_of(api) == [("transaction", "runtimes")]
    (command,) = commands_of(api)
    assert command["status"]["outcome"] == "Succeeded"
    runtime = await harness.runtime("plc-1")
    requested_by = runtime["metadata"]["annotations"][names.REQUESTED_BY]
    assert requested_by == f"create_new_runtime {command['metadata']['name']}"


async def test_the_nodes_hear_of_the_runtime_with_its_write(harness: CommandHarness) -> None:
    message = create_message(harness)
    await harness.dispatch("create_new_runtime", [message])
    await harness.dispatch("create_new_runtime", [message])
    assert harness.changed == [await harness.runtime("plc-1")]


async def test_a_redelivery_gets_the_same_answer_also_after_a_restart(
    harness: CommandHarness, after_restart: CommandHarness, api: DirectApi
) -> None:
    message = create_message(harness)
    answers = [await each.dispatch("create_new_runtime", [message]) for each in (harness, harness, after_restart)]
    assert answers[1:] == answers[:1] * 2
    assert len(changes_of(api)) == 1


async def test_a_crash_before_the_write_leaves_nothing_and_the_redelivery_does_it_all(
    harness: CommandHarness, after_restart: CommandHarness, api: DirectApi
) -> None:
    message, written = create_message(harness), asyncio.Event()

    async def hang(verb: str, _: Kind) -> None:
        if verb == "transaction":
            written.set()
            await asyncio.Event().wait()

    api.fault = hang
    sent = asyncio.create_task(harness.dispatch("create_new_runtime", [message]))
    await written.wait()
    await harness.executor.stop()
    await asyncio.gather(sent, return_exceptions=True)
    assert api.objects == {}
    api.fault = lambda *_: None
    assert (await after_restart.dispatch("create_new_runtime", [message]))["status"] == "creating"
    assert [key[0] for key in sorted(api.objects)] == ["runtimecommands", "runtimes"]


async def test_if_only_the_response_of_the_write_is_lost_the_runtime_is_created_once(
    harness: CommandHarness, api: DirectApi, lost_responses: None
) -> None:
    message = create_message(harness)
    assert (await harness.dispatch("create_new_runtime", [message]))["status"] == "creating"
    assert [command["status"]["outcome"] for command in commands_of(api)] == ["Succeeded"]
    assert changes_of(api).count(("create", "runtimes")) == 0


async def test_a_refused_creation_is_recorded_with_its_refusal(harness: CommandHarness, api: DirectApi) -> None:
    spec = {"deviceId": "other", "image": "registry.test/plc", "version": "1"}
    await api.create(kinds.RUNTIMES, {"metadata": {"name": "plc-1", "namespace": NAMESPACE}, "spec": spec})
    message = create_message(harness)
    refused = await harness.dispatch("create_new_runtime", [message])
    assert "already exists with another deviceId" in refused["error"]
    assert [command["status"]["outcome"] for command in commands_of(api)] == ["Failed"]
    assert await harness.dispatch("create_new_runtime", [message]) == refused


async def test_a_device_gets_no_second_runtime_under_another_name(harness: CommandHarness, api: DirectApi) -> None:
    spec = {"deviceId": "plc-1", "image": "registry.test/other", "version": "1"}
    await api.create(kinds.RUNTIMES, {"metadata": {"name": "by-hand", "namespace": "elsewhere"}, "spec": spec})
    refused = await harness.dispatch("create_new_runtime", [create_message(harness)])
    assert "managed by" in refused["error"]
    assert [name for plural, _, name in api.objects if plural == "runtimes"] == ["by-hand"]


async def test_commands_are_numbered_in_the_order_of_their_arrival(harness: CommandHarness, api: DirectApi) -> None:
    created = asyncio.create_task(harness.dispatch("create_new_runtime", [create_message(harness)]))
    deleted = asyncio.create_task(harness.send("delete_device", device_id="plc-1"))
    assert [(await each)["status"] for each in (created, deleted)] == ["creating", "deleting"]
    assert [command["spec"]["topic"] for command in commands_of(api)] == ["create_new_runtime", "delete_device"]
