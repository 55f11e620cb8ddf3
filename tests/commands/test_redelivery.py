"""A command that comes again gets the first answer and acts once, at the same time, later, and after a restart."""

from __future__ import annotations

import asyncio
import json

import pytest

from controller import errors
from controller.cloud.node import HttpResponse
from controller.resources import kinds
from controller.resources.kinds import Kind
from tests.commands.conftest import creation, settled
from tests.support.command_site import NAMESPACE, CommandSite, Operator
from tests.support.fake_api import FakeApi


async def test_delivered_twice_at_once_it_acts_once(site: CommandSite, operator: Operator) -> None:
    await site.dispatch("create_new_runtime", [creation(site)])
    restart = site.message("restart_device", device_id="plc-1")
    first, second = await asyncio.gather(*(site.dispatch("restart_device", [restart]) for _ in range(2)))
    assert first == second
    assert first["success"] is True
    assert operator.starts["plc-1"] == 2


async def test_delivered_again_it_gets_the_first_answer(site: CommandSite, operator: Operator) -> None:
    message = creation(site)
    first = await site.dispatch("create_new_runtime", [message])
    await site.send("delete_device", device_id="plc-1")
    assert await site.dispatch("create_new_runtime", [message]) == first
    assert not [key for key in site.api.objects if key[0] == "runtimes"]


async def test_a_refusal_is_a_first_answer_too(site: CommandSite, operator: Operator) -> None:
    message = site.message("stop_device", device_id="plc-1")
    first = await site.dispatch("stop_device", [message])
    assert first["status"] == "error"
    await site.dispatch("create_new_runtime", [creation(site)])
    assert await site.dispatch("stop_device", [message]) == first
    assert (await site.runtime("plc-1"))["spec"].get("desiredState") is None


async def test_after_a_restart_it_gets_the_first_answer(
    site: CommandSite, after_restart: CommandSite, operator: Operator
) -> None:
    await site.dispatch("create_new_runtime", [creation(site)])
    message = site.message("restart_device", device_id="plc-1")
    first = await site.dispatch("restart_device", [message])
    await site.answers_kept()
    assert await after_restart.dispatch("restart_device", [message]) == first
    assert operator.starts["plc-1"] == 2


async def test_a_lost_link_does_not_end_a_command(site: CommandSite, api: FakeApi) -> None:
    await site.dispatch("create_new_runtime", [creation(site)])
    message = site.message("restart_device", device_id="plc-1")
    of_the_dead_link = asyncio.create_task(site.dispatch("restart_device", [message]))
    await site.api_has("watch", 1)
    of_the_dead_link.cancel()
    of_the_next_link = asyncio.create_task(site.dispatch("restart_device", [message]))
    await asyncio.sleep(0)
    await Operator(api).settle(await site.runtime("plc-1"))
    assert (await of_the_next_link)["success"] is True
    assert api.requests.count(("create", "runtimecommands")) == 2  # the creation, and one restart


async def test_without_requested_at_nothing_counts_as_redelivered(api: FakeApi, operator: Operator) -> None:
    site = CommandSite(api, mode="lenient")
    await site.dispatch("create_new_runtime", [creation(site)])
    message = {"correlation_id": 1, "device_id": "plc-1"}
    for _ in range(2):
        assert (await site.dispatch("restart_device", [message]))["success"] is True
    assert operator.starts["plc-1"] == 3


async def test_the_same_command_while_its_answer_is_being_kept_gets_that_answer(site: CommandSite) -> None:
    message = creation(site)
    first = await site.dispatch("create_new_runtime", [message])
    assert site.executor._at_work
    assert await site.dispatch("create_new_runtime", [message]) == first
    assert site.api.requests.count(("create", "runtimecommands")) == 1


@pytest.mark.parametrize(
    ("headers", "kept_headers"),
    [({"X-A": "b"}, {"X-A": "b"}), ({"X-A": "b" * 70_000}, {})],
    ids=["body", "headers-too"],
)
async def test_an_answer_too_long_to_keep_loses_its_body_and_no_more_than_it_must(
    site: CommandSite,
    after_restart: CommandSite,
    operator: Operator,
    headers: dict[str, str],
    kept_headers: dict[str, str],
) -> None:
    await site.dispatch("create_new_runtime", [creation(site)])
    await settled(site)
    site.node.response = HttpResponse(200, headers, "x" * 100_000, "text/plain")
    message = site.message("run_command", device_id="plc-1", method="GET", api="/log")
    first = await site.dispatch("run_command", [message])
    again = await after_restart.dispatch("run_command", [message])
    kept = {**first["http_response"], "body": None, "headers": kept_headers, "truncated": True}
    assert again == {**first, "http_response": kept}


async def test_what_cannot_be_written_down_is_not_done(site: CommandSite) -> None:
    def away(verb: str, kind: Kind) -> None:
        if (verb, kind) == ("create", kinds.RUNTIME_COMMANDS):
            raise errors.ApiUnavailableError("the Kubernetes API did not answer")

    site.api.fault = away
    answer = await site.dispatch("create_new_runtime", [creation(site)])
    assert answer["error"] == "the Kubernetes API did not answer"
    assert not [key for key in site.api.objects if key[0] == "runtimes"]


async def test_the_journal_shows_what_was_asked_and_how_it_ended(site: CommandSite, operator: Operator) -> None:
    message = creation(site)
    answer = await site.dispatch("create_new_runtime", [message])
    await site.answers_kept()
    (command,) = await site.api.list(kinds.RUNTIME_COMMANDS, NAMESPACE)
    assert command["metadata"]["name"].startswith("create-new-runtime-")
    assert command["spec"].items() >= {"topic": "create_new_runtime", "deviceId": "plc-1", "sequence": 1}.items()
    assert command["spec"]["correlationId"] == str(message["correlation_id"])
    kept = json.loads(command["status"]["answer"])
    assert {**kept, "action": "create_new_runtime", "correlation_id": message["correlation_id"]} == answer
