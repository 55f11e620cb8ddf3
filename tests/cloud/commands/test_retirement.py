"""delete_orchestrator: the cloud's runtimes go, the agent is retired, and a power cut in between changes nothing."""

from __future__ import annotations

import asyncio

import pytest

from controller import errors
from controller.api import kinds
from controller.machinery.kinds import Kind
from tests.support.command_site import NAMESPACE, CommandSite, Operator, vnic
from tests.support.fake_api import FakeApi


async def populate(site: CommandSite, *, others: bool) -> None:
    """Two runtimes of the cloud, and perhaps one of a person."""
    for name in ("plc-1", "plc-2"):
        await site.send("create_new_runtime", container_name=name, vnic_configs=[vnic()])
    if others:
        mine = {"metadata": {"name": "mine", "namespace": NAMESPACE}, "spec": {"deviceId": "mine"}}
        await site.api.create(kinds.RUNTIMES, mine)


def runtimes(api: FakeApi) -> set[str]:
    """Names of the Runtimes."""
    return {name for plural, _, name in api.objects if plural == "runtimes"}


@pytest.mark.parametrize("others", [True, False])
async def test_only_the_clouds_runtimes_go(site: CommandSite, operator: Operator, others: bool) -> None:
    await populate(site, others=others)
    answer = await site.send("delete_orchestrator")
    assert (answer["status"], answer["poll_device_id"]) == ("accepted", "__orchestrator__")
    await site.left.wait()
    assert runtimes(site.api) == ({"mine"} if others else set())
    assert site.retired.is_set()
    assert site.others_remain is others


async def test_the_progress_ends_with_success_while_the_link_stays(api: FakeApi) -> None:
    site = CommandSite(api, linger_seconds=3600)
    await populate(site, others=False)
    await site.send("delete_orchestrator")
    await site.api_has("watch", 1)
    progress = await site.send("get_device_status", device_id="__orchestrator__")
    assert progress["status"] == "deleting"
    assert progress["step"] == "0 of 2 runtimes removed, waiting for plc-1"
    for name in ("plc-1", "plc-2"):
        api.remove(kinds.RUNTIMES, name, NAMESPACE)
    while (progress := await site.send("get_device_status", device_id="__orchestrator__"))["status"] == "deleting":
        assert not site.retired.is_set()
        await asyncio.sleep(0)
    assert progress["status"] == "success"
    assert not site.retired.is_set()
    await site.close()


async def test_a_second_one_is_an_error_and_nothing_new_is_made(site: CommandSite, api: FakeApi) -> None:
    await populate(site, others=False)
    await site.send("delete_orchestrator")
    assert "already" in (await site.send("delete_orchestrator"))["error"]
    answer = await site.send("create_new_runtime", container_name="plc-3", vnic_configs=[vnic()])
    assert "being deleted" in answer["error"]


async def test_a_power_cut_does_not_end_it(site: CommandSite, after_restart: CommandSite, api: FakeApi) -> None:
    await populate(site, others=False)
    await site.send("delete_orchestrator")
    await site.api_has("watch", 1)
    await site.close()

    await after_restart.retirement.resume()
    operator = asyncio.create_task(Operator(api).run())
    await after_restart.left.wait()
    operator.cancel()

    assert after_restart.retired.is_set()
    assert runtimes(api) == set()


async def test_once_retired_it_is_not_taken_up_again(
    site: CommandSite, after_restart: CommandSite, operator: Operator
) -> None:
    await site.send("delete_orchestrator")
    await site.left.wait()
    await after_restart.retirement.resume()
    assert not after_restart.retirement.under_way()


async def test_a_failure_is_told_and_tried_again(
    site: CommandSite, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.cloud.commands.retirement.RETRY_SECONDS", 0)
    await populate(site, others=False)
    failures = [errors.ApiUnavailableError("the API is away"), ZeroDivisionError()]

    def fault(verb: str, kind: Kind) -> None:
        if (verb, kind) == ("delete", kinds.RUNTIMES) and failures:
            raise failures.pop()

    site.api.fault = fault
    await site.send("delete_orchestrator")
    await site.left.wait()
    assert not failures
    assert runtimes(site.api) == set()
