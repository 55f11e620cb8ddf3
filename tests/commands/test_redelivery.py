"""A command that comes again gets the first answer and acts once, at the same time, later, and after a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controller import errors
from controller.cloud.node import HttpResponse
from controller.resources import kinds
from controller.resources.kinds import Kind
from tests.support.command_site import NAMESPACE, CommandSite, Operator, vnic
from tests.support.fake_api import FakeApi


class PowerCut(BaseException):
    """The process ends here; nothing of ours catches it."""


@pytest.fixture
async def after_restart(api: FakeApi) -> AsyncIterator[CommandSite]:
    """The commands of the next process, on the same API."""
    made = CommandSite(api)
    yield made
    await made.close()


def creation(site: CommandSite, name: str = "plc-1") -> dict[str, Any]:
    """A message that creates a runtime."""
    return site.message("create_new_runtime", container_name=name, vnic_configs=[vnic()])


def cut_power_at(api: FakeApi, verb: str, kind: Kind, *, nth: int = 1) -> None:
    """End the process instead of the n-th request of that sort from now."""
    remaining = [nth]

    def fault(seen_verb: str, seen_kind: Kind) -> None:
        if (seen_verb, seen_kind) == (verb, kind):
            remaining[0] -= 1
            if remaining[0] == 0:
                api.fault = lambda verb, kind: None
                raise PowerCut

    api.fault = fault


async def die(site: CommandSite, topic: str, message: dict[str, Any]) -> None:
    """Send a command during which the power is cut."""
    sending = asyncio.create_task(site.dispatch(topic, [message]))
    await asyncio.sleep(0)
    (work,) = (work.task for work in site.executor._at_work.values())
    await asyncio.wait([sending, work])
    assert isinstance(work.exception(), PowerCut)


def outcomes(api: FakeApi) -> dict[str, str]:
    """Outcome by topic."""
    commands = [o for (plural, _, _), o in api.objects.items() if plural == "runtimecommands"]
    return {c["spec"]["topic"]: (c.get("status") or {}).get("outcome", "Pending") for c in commands}


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


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        pytest.param("create", kinds.RUNTIME_COMMANDS, id="before-it-is-written-down"),
        pytest.param("create", kinds.RUNTIMES, id="before-it-acts"),
        pytest.param("patch", kinds.RUNTIME_COMMANDS, id="before-the-answer-is-kept"),
    ],
)
async def test_a_create_cut_off_is_done_once_when_delivered_again(
    site: CommandSite, after_restart: CommandSite, verb: str, kind: Kind
) -> None:
    message = creation(site)
    cut_power_at(site.api, verb, kind)
    await die(site, "create_new_runtime", message)
    answer = await after_restart.dispatch("create_new_runtime", [message])
    await after_restart.answers_kept()
    assert answer["status"] == "creating"
    assert (await site.runtime("plc-1"))["metadata"]["generation"] == 1
    assert outcomes(site.api) == {"create_new_runtime": "Succeeded"}


@pytest.mark.parametrize("verb", ["patch", "watch"])
async def test_a_restart_cut_off_restarts_once_when_delivered_again(
    site: CommandSite, after_restart: CommandSite, operator: Operator, verb: str
) -> None:
    await site.dispatch("create_new_runtime", [creation(site)])
    await asyncio.sleep(0)
    message = site.message("restart_device", device_id="plc-1")
    await settled(site)
    cut_power_at(site.api, verb, kinds.RUNTIMES)
    await die(site, "restart_device", message)
    assert (await after_restart.dispatch("restart_device", [message]))["success"] is True
    assert operator.starts["plc-1"] == 2


async def test_the_same_command_while_its_answer_is_being_kept_gets_that_answer(site: CommandSite) -> None:
    message = creation(site)
    first = await site.dispatch("create_new_runtime", [message])
    assert site.executor._at_work
    assert await site.dispatch("create_new_runtime", [message]) == first
    assert site.api.requests.count(("create", "runtimecommands")) == 1


async def test_a_delete_cut_off_succeeds_when_delivered_again(
    site: CommandSite, after_restart: CommandSite, operator: Operator
) -> None:
    await site.dispatch("create_new_runtime", [creation(site)])
    message = site.message("delete_device", device_id="plc-1")
    cut_power_at(site.api, "patch", kinds.RUNTIME_COMMANDS)
    await die(site, "delete_device", message)
    assert (await after_restart.dispatch("delete_device", [message]))["status"] == "deleting"


@pytest.mark.parametrize(
    ("older", "newer", "state"),
    [("stop_device", "start_device", "Running"), ("start_device", "stop_device", "Stopped")],
)
async def test_an_older_wish_delivered_again_does_not_undo_a_newer_one(
    site: CommandSite, after_restart: CommandSite, operator: Operator, older: str, newer: str, state: str
) -> None:
    await site.dispatch("create_new_runtime", [creation(site)])
    message = site.message(older, device_id="plc-1")
    await settled(site)
    cut_power_at(site.api, "patch", kinds.RUNTIMES)
    await die(site, older, message)
    assert (await after_restart.send(newer, device_id="plc-1", note="newer"))["success"] is True

    answer = await after_restart.dispatch(older, [message])

    assert answer["status"] == "error"
    assert newer in answer["error"]
    assert (await site.runtime("plc-1"))["spec"]["desiredState"] == state


async def test_a_create_delivered_again_does_not_undo_a_later_delete(
    site: CommandSite, after_restart: CommandSite, operator: Operator
) -> None:
    message = creation(site)
    cut_power_at(site.api, "patch", kinds.RUNTIME_COMMANDS)
    await die(site, "create_new_runtime", message)
    assert (await after_restart.send("delete_device", device_id="plc-1"))["status"] == "deleting"
    answer = await after_restart.dispatch("create_new_runtime", [message])
    assert "delete_device" in answer["error"]
    assert not [key for key in site.api.objects if key[0] == "runtimes"]


async def test_a_delete_delivered_again_does_not_delete_what_was_created_later(
    site: CommandSite, after_restart: CommandSite, operator: Operator
) -> None:
    await site.dispatch("create_new_runtime", [creation(site)])
    message = site.message("delete_device", device_id="plc-1")
    cut_power_at(site.api, "patch", kinds.RUNTIME_COMMANDS)
    await die(site, "delete_device", message)
    again = after_restart.message("create_new_runtime", container_name="plc-1", vnic_configs=[vnic()], note="again")
    assert (await after_restart.dispatch("create_new_runtime", [again]))["status"] == "creating"
    assert "create_new_runtime" in (await after_restart.dispatch("delete_device", [message]))["error"]
    assert (await site.runtime("plc-1"))["metadata"].get("deletionTimestamp") is None


async def test_a_request_to_a_runtime_is_never_made_twice(
    site: CommandSite, after_restart: CommandSite, operator: Operator
) -> None:
    await site.dispatch("create_new_runtime", [creation(site)])
    await settled(site)
    message = site.message("run_command", device_id="plc-1", method="POST", api="/api/start")
    cut_power_at(site.api, "patch", kinds.RUNTIME_COMMANDS)
    await die(site, "run_command", message)
    for _ in range(2):
        answer = await after_restart.dispatch("run_command", [message])
        assert answer["status"] == "error"
        assert "outcome unknown" in answer["error"]
    assert len(site.node.requests) == 1
    assert after_restart.node.requests == []
    assert outcomes(site.api)["run_command"] == "Unknown"


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


async def settled(site: CommandSite) -> None:
    """Wait until the operator has brought plc-1 to its wish."""
    await site.api.until(lambda: "status" in site.api.objects["runtimes", NAMESPACE, "plc-1"])
