"""start, stop and restart: a wish in the spec, answered when it has come true."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller import names
from controller.api import kinds
from tests.support.command_site import NAMESPACE, CommandSite, Operator, condition, vnic
from tests.support.fake_api import FakeApi


async def create(site: CommandSite, name: str = "plc-1") -> None:
    """One runtime of the cloud."""
    answer = await site.send("create_new_runtime", container_name=name, vnic_configs=[vnic()])
    assert answer["status"] == "creating"


async def set_status(api: FakeApi, generation: int, *conditions: dict[str, Any]) -> None:
    """The status that a reconciler would have written."""
    status = {"observedGeneration": generation, "state": "running", "conditions": list(conditions)}
    await api.patch(kinds.RUNTIMES, "plc-1", NAMESPACE, {"status": status}, subresource="status")


async def stopping(site: CommandSite) -> asyncio.Task[dict[str, Any]]:
    """A stop of the runtime, under way: its wish is written and awaited."""
    sending = asyncio.create_task(site.send("stop_device", device_id="plc-1"))
    await site.api_has("watch", 1)
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
    site: CommandSite, operator: Operator, topic: str, desired: dict[str, Any]
) -> None:
    await create(site)
    answer = await site.send(topic, device_id="plc-1")
    assert (answer["status"], answer["success"], answer["device_id"]) == ("success", True, "plc-1")
    runtime = await site.runtime("plc-1")
    assert runtime["spec"].items() >= desired.items()
    assert runtime["status"]["observedGeneration"] == runtime["metadata"]["generation"]


async def test_two_restarts_of_one_moment_are_two_restarts(site: CommandSite, operator: Operator) -> None:
    await create(site)
    tokens = []
    for _ in range(2):
        await site.send("restart_device", device_id="plc-1")
        tokens.append((await site.runtime("plc-1"))["spec"]["restartedAt"])
    assert tokens[0] != tokens[1]
    assert all(token.startswith("2026-01-01T00:00:00.123") for token in tokens)


async def test_when_time_is_up_the_wish_stands_and_the_answer_says_what_it_waits_for(api: FakeApi) -> None:
    site = CommandSite(api, seconds=0.05)
    await create(site)
    await set_status(api, 1, condition(names.RECONCILING, "True", 1, "the host has no interface eth5 now"))
    answer = await site.send("stop_device", device_id="plc-1")
    assert answer["status"] == "error"
    assert "the wish stands" in answer["error"]
    assert "the host has no interface eth5 now" in answer["error"]
    assert (await site.runtime("plc-1"))["spec"]["desiredState"] == "Stopped"


async def test_a_stall_is_told_at_once(site: CommandSite, api: FakeApi) -> None:
    await create(site)
    sending = asyncio.create_task(site.send("stop_device", device_id="plc-1"))
    await site.api_has("patch", 1)
    await set_status(api, 2, condition(names.STALLED, "True", 2, "the disk is gone"))
    assert "the disk is gone" in (await sending)["error"]


async def test_an_older_stall_does_not_count(site: CommandSite, api: FakeApi) -> None:
    await create(site)
    await set_status(api, 1, condition(names.STALLED, "True", 1, "the image is not there"))
    sending = await stopping(site)
    await set_status(api, 2, condition(names.READY, "True", 2))
    assert (await sending)["success"] is True


async def test_it_rides_over_a_watch_that_ends(site: CommandSite, api: FakeApi) -> None:
    await create(site)
    sending = await stopping(site)
    api.end_watches()
    await site.api_has("watch", 2)
    await set_status(api, 2, condition(names.READY, "True", 2))
    assert (await sending)["success"] is True


async def test_a_device_deleted_meanwhile_is_said_so(site: CommandSite, api: FakeApi) -> None:
    await create(site)
    sending = await stopping(site)
    api.remove(kinds.RUNTIMES, "plc-1", NAMESPACE)
    assert "deleted meanwhile" in (await sending)["error"]


async def test_another_wish_of_somebody_else_meanwhile_is_said_so(site: CommandSite, api: FakeApi) -> None:
    await create(site)
    sending = await stopping(site)
    await api.patch(kinds.RUNTIMES, "plc-1", NAMESPACE, {"spec": {"desiredState": "Running"}})
    assert "somebody else" in (await sending)["error"]


async def test_an_unknown_device_is_an_error(site: CommandSite) -> None:
    assert "no device plc-7" in (await site.send("start_device", device_id="plc-7"))["error"]
