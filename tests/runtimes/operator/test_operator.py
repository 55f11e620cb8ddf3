"""kopf holds the finalizer and hands in keys; everything that a person does with kubectl takes effect."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import kopf
import pytest

from controller import errors, names
from controller.api import kinds, reasons
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.runtimes.keys import Key
from controller.runtimes.operator.diffbase import SpecDigest
from tests.runtimes.operator.conftest import Restartable, Site, is_ready

PREFIX = f"{names.GROUP}/"


def ready_reason(found: dict[str, Any]) -> str:
    """The reason of the condition Ready."""
    return next(str(c["reason"]) for c in found["status"]["conditions"] if c["type"] == names.READY)


async def test_a_runtime_of_a_person_gets_a_finalizer_a_node_and_runs(site: Site) -> None:
    await site.create()
    found = await site.ready()
    assert found["metadata"]["finalizers"] == [names.FINALIZER]
    assert found["spec"]["nodeName"] == "node-1"
    assert site.backend.effects.count("create") == 1


async def test_a_runtime_of_the_cloud_runs(site: Site) -> None:
    await site.create(finalizers=(names.FINALIZER,), nodeName="node-1", backend="Docker")
    await site.ready()
    assert site.backend.effects.count("start") == 1


async def test_a_changed_spec_takes_effect(site: Site) -> None:
    await site.create()
    await site.ready()
    await site.api.patch(kinds.RUNTIMES, "plc-1", "edge", {"spec": {"desiredState": "Stopped"}})
    await site.until("plc-1", lambda o: is_ready(o) and o["status"]["state"] == "exited")


async def test_labels_and_annotations_wake_nobody(site: Site) -> None:
    await site.create()
    await site.ready()
    await site.until("plc-1", lambda o: f"{PREFIX}last-handled-configuration" in o["metadata"].get("annotations", ()))
    before = (await site.get("plc-1"))["status"]
    await site.api.patch(kinds.RUNTIMES, "plc-1", "edge", {"metadata": {"labels": {"a": "b"}}})
    await site.create("plc-2")
    await site.ready("plc-2")
    assert (await site.get("plc-1"))["status"] == before


async def test_a_deleted_runtime_goes_once_its_container_is_gone(site: Site) -> None:
    await site.create()
    await site.ready()
    await site.api.delete(kinds.RUNTIMES, "plc-1", "edge")
    await site.until("plc-1", lambda o: o == {})
    assert site.backend.containers == {}


async def test_a_failing_cleanup_holds_the_runtime(site: Site) -> None:
    await site.create()
    await site.ready()
    failing = asyncio.Event()

    def fail(when: str, step: object) -> None:
        failing.set()
        raise RuntimeError("the engine is busy")

    site.backend.fault = fail
    await site.api.delete(kinds.RUNTIMES, "plc-1", "edge")
    await failing.wait()
    assert (await site.get("plc-1"))["metadata"]["finalizers"] == [names.FINALIZER]
    site.backend.fault = lambda when, step: None
    await site.until("plc-1", lambda o: o == {})
    assert site.backend.containers == {}


async def test_a_deletion_that_waits_for_docker_is_neither_logged_nor_written_again_and_again(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.create()
    await site.ready()
    tries = asyncio.Semaphore(0)

    def fail(when: str, step: object) -> None:
        tries.release()
        raise errors.Waiting(reasons.DAEMON_UNREACHABLE, "Docker does not answer")

    site.backend.fault = fail
    await site.api.delete(kinds.RUNTIMES, "plc-1", "edge")
    await tries.acquire()
    await site.until("plc-1", lambda o: ready_reason(o) == reasons.DAEMON_UNREACHABLE)
    await tries.acquire()
    waiting = await site.get("plc-1")
    await tries.acquire()
    assert (await site.get("plc-1"))["metadata"]["annotations"] == waiting["metadata"]["annotations"]
    assert [r.getMessage() for r in caplog.records if r.name.startswith("kopf")] == []
    site.backend.fault = lambda when, step: None
    await site.until("plc-1", lambda o: o == {})


async def test_a_deletion_ends_a_pull(site: Site) -> None:
    site.backend.pull_gate = asyncio.Event()
    await site.create()
    await site.backend.pulling.wait()
    await site.api.delete(kinds.RUNTIMES, "plc-1", "edge")
    await site.until("plc-1", lambda o: o == {})
    assert site.backend.pulls_abandoned == 1


async def test_a_pull_does_not_hide_the_next_change(site: Site) -> None:
    site.backend.pull_gate = asyncio.Event()
    await site.create()
    await site.backend.pulling.wait()
    await site.api.patch(kinds.RUNTIMES, "plc-1", "edge", {"spec": {"desiredState": "Stopped"}})
    await site.ready()
    assert site.backend.effects == []


async def test_a_restarted_operator_resumes_without_touching_what_stands(site: Site) -> None:
    await site.create()
    await site.ready()
    effects = list(site.backend.effects)
    assert await site.operator.stop(5)
    await site.api.patch(kinds.RUNTIMES, "plc-1", "edge", {"spec": {"env": [{"name": "A", "value": "1"}]}})
    await site.create("plc-2")
    site.operator._stopping.clear()
    site.operator.start()
    await site.ready("plc-1")
    await site.ready("plc-2")
    assert site.backend.effects[: len(effects)] == effects
    assert site.backend.effects.count("replace") == 1


async def test_kopf_keeps_to_its_own_names_and_out_of_the_status(
    site: Site, person: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    await site.create()
    await site.ready()
    found = await site.until("plc-1", lambda o: o["metadata"].get("annotations"))
    assert all(name.startswith(PREFIX) for name in found["metadata"]["annotations"])
    assert "kopf" not in json.dumps(found["status"])
    assert "inconsistencies" not in caplog.text
    posted = await person.list(core_kinds.EVENTS, "edge")
    assert {event["source"]["component"] for event in posted} <= {"edge-controller"}


async def test_an_outage_of_the_api_is_ridden_over(site: Site, api_server: Restartable) -> None:
    await site.create()
    await site.ready()
    await api_server.restart()
    await site.create("plc-2")
    await site.ready("plc-2")


async def test_the_largest_spec_is_handled_and_not_copied_into_an_annotation(site: Site) -> None:
    await site.create(env=[{"name": f"VARIABLE_{number}", "value": "x" * 4096} for number in range(64)])
    found = await site.ready()
    await site.api.patch(kinds.RUNTIMES, "plc-1", "edge", {"spec": {"env": found["spec"]["env"][:63]}})
    found = await site.until("plc-1", lambda o: is_ready(o) and len(o["spec"]["env"]) == 63)
    assert site.backend.effects.count("replace") == 1
    assert len(json.dumps(found["metadata"]["annotations"])) < 1000


async def test_kopf_is_quiet_when_all_is_well(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    await site.create()
    await site.ready()
    await site.api.delete(kinds.RUNTIMES, "plc-1", "edge")
    await site.until("plc-1", lambda o: o == {})
    loud = [r for r in caplog.records if r.name.startswith("kopf") and r.levelno >= logging.INFO]
    assert loud == []


async def test_a_pass_that_finds_nothing_to_do_writes_nothing(site: Site) -> None:
    await site.create()
    await site.ready()
    before = await site.until("plc-1", _is_noted)
    assert (await site.queue.reconcile(Key("edge", "plc-1"))).settled
    assert (await site.get("plc-1"))["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def _is_noted(runtime: Any) -> bool:
    """Whether kopf has written down that it is done: the spec as it is, and nothing under way any more."""
    found = runtime["metadata"].get("annotations") or {}
    handled: Any = next((json.loads(text) for name, text in found.items() if "last-handled" in name), {})
    return handled == SpecDigest().build(body=kopf.Body(runtime)) and not any("/runtime-" in name for name in found)
