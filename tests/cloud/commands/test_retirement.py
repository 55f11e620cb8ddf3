"""delete_orchestrator deletes the cloud's runtimes and retires the agent, and resumes after a power cut."""

from __future__ import annotations

import asyncio

import pytest

from controller import errors
from controller.api import kinds
from controller.machinery.kinds import Kind
from tests.support.command_harness import NAMESPACE, CommandHarness, Operator, vnic
from tests.support.direct_api import DirectApi


async def populate(harness: CommandHarness, *, others: bool) -> None:
    """Create two runtimes of the cloud and, if ``others``, one of a person."""
    for name in ("plc-1", "plc-2"):
        await harness.send("create_new_runtime", container_name=name, vnic_configs=[vnic()])
    if others:
        mine = {"metadata": {"name": "mine", "namespace": NAMESPACE}, "spec": {"deviceId": "mine", "image": "x"}}
        await harness.api.create(kinds.RUNTIMES, mine)


def runtimes(api: DirectApi) -> set[str]:
    """The names of the Runtimes."""
    return {name for plural, _, name in api.objects if plural == "runtimes"}


@pytest.mark.parametrize("others", [True, False])
async def test_only_the_clouds_runtimes_are_deleted(harness: CommandHarness, operator: Operator, others: bool) -> None:
    await populate(harness, others=others)
    answer = await harness.send("delete_orchestrator")
    assert (answer["status"], answer["poll_device_id"]) == ("accepted", "__orchestrator__")
    await harness.left.wait()
    assert runtimes(harness.api) == ({"mine"} if others else set())
    assert harness.retired.is_set()
    assert harness.others_remain is others


async def test_the_progress_ends_with_success_while_the_link_is_up(api: DirectApi) -> None:
    harness = CommandHarness(api, linger_seconds=3600)
    await populate(harness, others=False)
    await harness.send("delete_orchestrator")
    await harness.api_has("watch", 1)
    progress = await harness.send("get_device_status", device_id="__orchestrator__")
    assert progress["status"] == "deleting"
    assert progress["step"] == "0 of 2 runtimes removed, waiting for plc-1"
    for name in ("plc-1", "plc-2"):
        await api.remove(kinds.RUNTIMES, name, NAMESPACE)
    while (progress := await harness.send("get_device_status", device_id="__orchestrator__"))["status"] == "deleting":
        assert not harness.retired.is_set()
        await asyncio.sleep(0)
    assert progress["status"] == "success"
    assert not harness.retired.is_set()
    await harness.close()


async def test_a_second_deletion_and_new_runtimes_are_refused(harness: CommandHarness, api: DirectApi) -> None:
    await populate(harness, others=False)
    await harness.send("delete_orchestrator")
    assert "already" in (await harness.send("delete_orchestrator"))["error"]
    answer = await harness.send("create_new_runtime", container_name="plc-3", vnic_configs=[vnic()])
    assert "being deleted" in answer["error"]


async def test_it_resumes_after_a_power_cut(
    harness: CommandHarness, after_restart: CommandHarness, api: DirectApi
) -> None:
    await populate(harness, others=False)
    await harness.send("delete_orchestrator")
    await harness.api_has("watch", 1)
    await harness.close()

    await after_restart.retirement.resume()
    operator = asyncio.create_task(Operator(api).run())
    await after_restart.left.wait()
    operator.cancel()

    assert after_restart.retired.is_set()
    assert runtimes(api) == set()


async def test_once_retired_it_does_not_resume(
    harness: CommandHarness, after_restart: CommandHarness, operator: Operator
) -> None:
    await harness.send("delete_orchestrator")
    await harness.left.wait()
    await after_restart.retirement.resume()
    assert not after_restart.retirement.in_progress()


async def test_a_failure_is_retried(
    harness: CommandHarness, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.cloud.commands.retirement.RETRY_SECONDS", 0)
    await populate(harness, others=False)
    failures = [errors.ApiUnavailableError("the API is away"), ZeroDivisionError()]

    def fault(verb: str, kind: Kind) -> None:
        if (verb, kind) == ("delete", kinds.RUNTIMES) and failures:
            raise failures.pop()

    harness.api.fault = fault
    await harness.send("delete_orchestrator")
    await harness.left.wait()
    assert not failures
    assert runtimes(harness.api) == set()
