"""kopf manages the finalizer and submits keys, so that changes with kubectl take effect."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from controller import errors, names
from controller.api import kinds, reasons
from controller.backends.base import Step
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient, Endpoint
from controller.runtimes.keys import Key
from tests.runtimes.operator.conftest import OperatorHarness, Restartable, is_ready, operating


def ready_reason(found: dict[str, Any]) -> str:
    """The reason of the condition Ready."""
    return next(str(c["reason"]) for c in found["status"]["conditions"] if c["type"] == names.READY)


async def test_a_runtime_created_with_kubectl_gets_a_finalizer_and_a_node_and_runs(harness: OperatorHarness) -> None:
    await harness.create()
    found = await harness.ready()
    assert found["metadata"]["finalizers"] == [names.FINALIZER]
    assert found["spec"]["nodeName"] == "node-1"
    assert harness.backend.effects.count("create") == 1


async def test_a_runtime_created_by_the_cloud_runs(harness: OperatorHarness) -> None:
    await harness.create(finalizers=(names.FINALIZER,), nodeName="node-1", backend="Docker")
    await harness.ready()
    assert harness.backend.effects.count("start") == 1


async def test_a_changed_spec_takes_effect(harness: OperatorHarness) -> None:
    await harness.create()
    await harness.ready()
    await harness.api.patch(kinds.RUNTIMES, "plc-1", "edge", {"spec": {"desiredState": "Stopped"}})
    await harness.until("plc-1", lambda o: is_ready(o) and o["status"]["state"] == "Stopped")


async def test_labels_and_annotations_trigger_no_pass(harness: OperatorHarness) -> None:
    await harness.create()
    await harness.ready()
    before = (await harness.get("plc-1"))["status"]
    await harness.api.patch(kinds.RUNTIMES, "plc-1", "edge", {"metadata": {"labels": {"a": "b"}}})
    await harness.create("plc-2")
    await harness.ready("plc-2")
    assert (await harness.get("plc-1"))["status"] == before


async def test_a_deleted_runtime_is_removed_once_its_container_is_gone(harness: OperatorHarness) -> None:
    await harness.create()
    await harness.ready()
    await harness.api.delete(kinds.RUNTIMES, "plc-1", "edge")
    await harness.until("plc-1", lambda o: o == {})
    assert harness.backend.containers == {}


async def test_no_request_of_a_deletion_is_refused(harness: OperatorHarness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "edge.audit")
    await harness.create()
    await harness.ready()
    await harness.api.delete(kinds.RUNTIMES, "plc-1", "edge")
    await harness.until("plc-1", lambda o: o == {})
    written = [record.__dict__ for record in caplog.records if record.name == "edge.audit"]
    assert [entry for entry in written if entry["code"] == 422] == []


async def test_a_runtime_that_was_recreated_during_the_cleanup_keeps_its_finalizer(
    harness: OperatorHarness, admin: ApiClient
) -> None:
    await harness.create()
    await harness.ready()
    cleaning, go = asyncio.Event(), asyncio.Event()

    async def hold(when: str, step: object) -> None:
        if when == "after" and step == Step.REMOVE_NETWORKS:
            cleaning.set()
            await go.wait()

    harness.backend.fault = hold
    await harness.api.delete(kinds.RUNTIMES, "plc-1", "edge")
    await cleaning.wait()
    await admin.patch(kinds.RUNTIMES, "plc-1", "edge", {"metadata": {"finalizers": None}})
    await harness.create(finalizers=(names.FINALIZER,))
    go.set()
    found = await harness.ready()
    assert found["metadata"]["finalizers"] == [names.FINALIZER]


async def test_a_failing_cleanup_keeps_the_finalizer(harness: OperatorHarness) -> None:
    await harness.create()
    await harness.ready()
    failing = asyncio.Event()

    def fail(when: str, step: object) -> None:
        failing.set()
        raise RuntimeError("the engine is busy")

    harness.backend.fault = fail
    await harness.api.delete(kinds.RUNTIMES, "plc-1", "edge")
    await failing.wait()
    assert (await harness.get("plc-1"))["metadata"]["finalizers"] == [names.FINALIZER]
    harness.backend.fault = lambda when, step: None
    await harness.until("plc-1", lambda o: o == {})
    assert harness.backend.containers == {}


async def test_a_deletion_that_waits_for_docker_is_logged_and_written_once(
    harness: OperatorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.create()
    await harness.ready()
    tries = asyncio.Semaphore(0)

    def fail(when: str, step: object) -> None:
        tries.release()
        raise errors.Waiting(reasons.DAEMON_UNREACHABLE, "Docker does not answer")

    harness.backend.fault = fail
    await harness.api.delete(kinds.RUNTIMES, "plc-1", "edge")
    await tries.acquire()
    await harness.until("plc-1", lambda o: ready_reason(o) == reasons.DAEMON_UNREACHABLE)
    await tries.acquire()
    waiting = await harness.get("plc-1")
    await tries.acquire()
    assert (await harness.get("plc-1"))["metadata"]["annotations"] == waiting["metadata"]["annotations"]
    assert [r.getMessage() for r in caplog.records if r.name.startswith("kopf")] == []
    harness.backend.fault = lambda when, step: None
    await harness.until("plc-1", lambda o: o == {})


async def test_a_deletion_cancels_a_pull(harness: OperatorHarness) -> None:
    harness.backend.pull_gate = asyncio.Event()
    await harness.create()
    await harness.backend.pulling.wait()
    await harness.api.delete(kinds.RUNTIMES, "plc-1", "edge")
    await harness.until("plc-1", lambda o: o == {})
    assert harness.backend.pulls_abandoned == 1


async def test_a_pull_does_not_hide_the_next_change(harness: OperatorHarness) -> None:
    harness.backend.pull_gate = asyncio.Event()
    await harness.create()
    await harness.backend.pulling.wait()
    await harness.api.patch(kinds.RUNTIMES, "plc-1", "edge", {"spec": {"desiredState": "Stopped"}})
    await harness.ready()
    assert harness.backend.effects == []


async def test_a_restarted_operator_resumes_without_changing_containers(harness: OperatorHarness) -> None:
    await harness.create()
    await harness.ready()
    effects = list(harness.backend.effects)
    assert await harness.operator.stop(5)
    await harness.api.patch(kinds.RUNTIMES, "plc-1", "edge", {"spec": {"env": [{"name": "A", "value": "1"}]}})
    await harness.create("plc-2")
    harness.operator._stopping.clear()
    harness.operator.start()
    await harness.ready("plc-1")
    await harness.ready("plc-2")
    assert harness.backend.effects[: len(effects)] == effects
    assert harness.backend.effects.count("replace") == 1


async def test_kopf_writes_only_the_finalizer(
    harness: OperatorHarness, admin: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.create()
    found = await harness.ready()
    # The claim is ours (owners.py).
    assert list(found["metadata"]["annotations"]) == [names.CLAIM]
    assert "kopf" not in json.dumps(found["status"])
    assert "inconsistencies" not in caplog.text
    posted = await admin.list(core_kinds.EVENTS, "edge")
    assert {event["source"]["component"] for event in posted} <= {"edge-controller"}


async def test_the_operator_recovers_from_an_api_outage(harness: OperatorHarness, api_server: Restartable) -> None:
    await harness.create()
    await harness.ready()
    await api_server.restart()
    await harness.create("plc-2")
    await harness.ready("plc-2")


async def test_the_largest_spec_is_handled_and_not_copied_into_an_annotation(harness: OperatorHarness) -> None:
    await harness.create(env=[{"name": f"VARIABLE_{number}", "value": "x" * 4096} for number in range(64)])
    found = await harness.ready()
    await harness.api.patch(kinds.RUNTIMES, "plc-1", "edge", {"spec": {"env": found["spec"]["env"][:63]}})
    found = await harness.until("plc-1", lambda o: is_ready(o) and len(o["spec"]["env"]) == 63)
    assert harness.backend.effects.count("replace") == 1
    assert len(json.dumps(found["metadata"]["annotations"])) < 1000


async def test_kopf_logs_nothing_in_normal_operation(
    harness: OperatorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.create()
    await harness.ready()
    await harness.api.delete(kinds.RUNTIMES, "plc-1", "edge")
    await harness.until("plc-1", lambda o: o == {})
    loud = [r for r in caplog.records if r.name.startswith("kopf") and r.levelno >= logging.INFO]
    assert loud == []


async def test_a_pass_that_finds_nothing_to_do_writes_nothing(harness: OperatorHarness) -> None:
    await harness.create()
    await harness.ready()
    before = await harness.get("plc-1")
    assert (await harness.queue.reconcile(Key("edge", "plc-1"))).settled
    assert (await harness.get("plc-1"))["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_kopf_works_through_the_socket_of_its_own_process(api_server: Restartable) -> None:
    server = api_server.server
    async with operating(Endpoint(server.url, socket=server.socket), "node-1") as harness:
        await harness.create()
        await harness.ready()
        await api_server.restart()
        await harness.create("plc-2")
        await harness.ready("plc-2")


async def test_a_rejected_token_is_renewed(api_server: Restartable) -> None:
    user = await asyncio.to_thread(api_server.server.credentials, "controller")
    accepted = Endpoint(api_server.server.url, ca_file=user.ca, token=user.token, server_name="localhost")

    async def renew() -> Endpoint:
        return accepted

    async with operating(replace(accepted, token="rejected", renew=renew), "node-1") as harness:
        await harness.create()
        await harness.ready()
