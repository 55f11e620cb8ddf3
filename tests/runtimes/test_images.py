"""Images: when they are resolved, pulled and replaced, and what cancels a pull."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import aclosing
from typing import Any

import pytest

from controller import errors, names
from controller.api import kinds, reasons
from controller.machinery import conditions
from controller.machinery import kinds as core_kinds
from controller.machinery.kinds import Kind
from tests.runtimes.harness import KEY, Harness


async def test_the_old_container_keeps_running_while_the_new_image_is_missing(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    started = harness.backend.only().started_at
    await harness.change(version="9")
    await harness.reconcile()
    assert harness.condition("Stalled")["reason"] == reasons.IMAGE_NOT_FOUND
    assert harness.backend.only().started_at == started
    await harness.change(version="2")
    assert (await harness.reconcile()).settled
    assert harness.status()["image"] == "pin-2"
    assert harness.status()["previousImage"] == "pin-1"


async def test_a_moved_tag_changes_nothing_until_the_reference_changes(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    harness.backend.registry["registry/plc:1"] = "pin-1-moved"
    await harness.change(env=[{"name": "A", "value": "1"}])
    await harness.reconcile()
    assert harness.backend.only().image == "pin-1"
    harness.backend.containers.clear()
    await harness.reconcile()
    assert harness.backend.only().image == "pin-1"


async def test_another_reference_to_the_same_image_replaces_nothing(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    harness.backend.registry["registry/plc:stable"] = "pin-1"
    await harness.change(version="stable")
    await harness.reconcile()
    assert "replace" not in harness.backend.effects
    assert harness.status()["imageSource"] == "registry/plc:stable"
    harness.backend.registry["registry/plc:stable"] = "moved"
    await harness.change(desiredState="Stopped")
    await harness.change(desiredState="Running")
    await harness.reconcile()
    assert harness.backend.only().image == "pin-1"


async def test_a_failed_replacement_is_not_repeated_and_the_next_spec_is_tried(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    harness.backend.does_not_run.add("pin-2")
    await harness.change(version="2")
    await harness.reconcile()
    why = harness.condition("Stalled")["message"]
    await harness.reconcile()
    assert harness.backend.effects.count("roll back") == 1
    assert harness.condition("Stalled")["message"] == harness.status()["error"] == why
    assert harness.status()["failedGeneration"] == 2
    assert harness.condition("Stalled")["reason"] == reasons.REPLACE_FAILED
    assert harness.status()["image"] == "pin-1"
    await harness.change(version="1")
    assert (await harness.reconcile()).settled
    assert "failedGeneration" not in harness.status()


async def test_an_image_outside_the_allowed_prefixes_is_refused(harness: Harness) -> None:
    harness.image_prefixes = ("ghcr.io/",)
    harness.restart_controller()
    await harness.create()
    await harness.reconcile()
    assert harness.condition("Stalled")["reason"] == reasons.IMAGE_NOT_ALLOWED


async def test_a_container_with_a_newly_refused_image_is_kept_and_recreated(
    harness: Harness,
) -> None:
    await harness.create()
    await harness.reconcile()
    harness.image_prefixes = ("registry/pl",)  # a partial component, which an earlier version accepted
    harness.restart_controller()
    await harness.reconcile()
    assert harness.condition("Ready")["status"] == "True"
    assert harness.condition("ImageAllowed")["reason"] == reasons.IMAGE_NOT_ALLOWED
    harness.backend.containers.clear()
    await harness.reconcile()
    assert harness.condition("Ready")["status"] == "True"
    await harness.change(version="2")
    await harness.reconcile()
    assert harness.condition("Stalled")["reason"] == reasons.IMAGE_NOT_ALLOWED
    assert harness.backend.only().image == "pin-1"


async def test_pull_secrets_are_only_used_for_the_pull(harness: Harness) -> None:
    auth = base64.b64encode(b"robot:hunter2").decode()
    document = base64.b64encode(json.dumps({"auths": {"registry": {"auth": auth}}}).encode()).decode()
    secret = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": document}}
    await harness.api.create(core_kinds.SECRETS, {"metadata": {"name": "pull", "namespace": "edge"}, **secret})
    await harness.create(imagePullSecrets=[{"name": "missing"}, {"name": "pull"}])
    assert (await harness.reconcile()).settled
    assert harness.backend.credentials == ({"registry": "registry", "username": "robot", "password": "hunter2"},)
    assert "hunter2" not in json.dumps(harness.status())


async def pulling(harness: Harness) -> asyncio.Task[Any]:
    """A pass during a pull."""
    harness.backend.pull_gate = asyncio.Event()
    task = asyncio.create_task(harness.reconcile())
    await harness.backend.pulling.wait()
    assert harness.condition("Reconciling")["reason"] == reasons.IMAGE_PULLING
    return task


async def test_a_deletion_cancels_a_pull(harness: Harness) -> None:
    await harness.create()
    task = await pulling(harness)
    await harness.delete()
    harness.interrupted.set()
    assert (await task).again
    assert harness.backend.pulls_abandoned == 1
    harness.backend.pull_gate = None
    assert (await harness.reconcile()).settled


async def test_a_short_api_outage_does_not_end_a_pull(harness: Harness) -> None:
    await harness.create()
    harness.backend.pull_gate = asyncio.Event()
    harness.backend.pull_gate.set()

    def away_in_the_pull(verb: str, kind: Kind) -> None:
        if verb == "patch" and harness.status() and not harness.backend.pulling.is_set():
            raise errors.ApiUnavailableError("no answer")

    harness.api.fault = away_in_the_pull
    assert (await harness.reconcile()).settled


async def test_an_outage_while_a_change_is_checked_does_not_end_a_pull(harness: Harness) -> None:
    await harness.create()
    task = await pulling(harness)
    refused = asyncio.Event()

    def away(verb: str, kind: Kind) -> None:
        if verb == "get":
            refused.set()
            raise errors.ApiUnavailableError("no answer")

    harness.api.fault = away
    harness.interrupted.set()
    await refused.wait()
    harness.api.fault = lambda verb, kind: None
    assert harness.backend.pull_gate is not None
    harness.backend.pull_gate.set()
    assert (await task).settled
    assert harness.backend.pulls_abandoned == 0


async def test_a_pull_secret_that_may_not_be_read_is_skipped(harness: Harness) -> None:
    def forbidden(verb: str, kind: Kind) -> None:
        if kind is core_kinds.SECRETS:
            raise errors.ApiError("secrets is forbidden", code=403, reason="Forbidden")

    harness.api.fault = forbidden
    await harness.create(imagePullSecrets=[{"name": "pull"}])
    assert (await harness.reconcile()).settled


async def test_a_corrected_image_cancels_a_pull(harness: Harness) -> None:
    await harness.create()
    task = await pulling(harness)
    await harness.change(version="2")
    harness.interrupted.set()
    assert (await task).again


async def test_an_interruption_without_a_new_generation_does_not_cancel_a_pull(harness: Harness) -> None:
    await harness.create()
    task = await pulling(harness)
    await harness.api.patch(kinds.RUNTIMES, KEY.name, KEY.namespace, {"metadata": {"labels": {"a": "b"}}})
    requested = asyncio.Event()
    harness.api.fault = lambda verb, kind: requested.set()
    harness.interrupted.set()
    await requested.wait()
    assert harness.backend.pull_gate
    harness.backend.pull_gate.set()
    assert (await task).settled
    assert harness.backend.pulls_abandoned == 0


@pytest.mark.parametrize("spec", [{}, {"version": None, "digest": f"sha256:{1:064}"}], ids=["tag", "digest"])
async def test_the_message_names_the_image(harness: Harness, spec: dict[str, Any]) -> None:
    reference = f"registry/plc@{spec['digest']}" if spec else "registry/plc:1"
    harness.backend.registry[reference] = "pin"
    await harness.create(**spec)
    await harness.reconcile()
    harness.backend.registry["registry/plc:2"] = "pin-2"
    await harness.change(version="2", digest=None)
    await harness.reconcile()
    wanted = [f"Creating the container from {reference}", "Resolving the image registry/plc:2"]
    async with aclosing(harness.api.watch(kinds.RUNTIMES, resource_version="1")) as changes:
        async for change in changes:
            if _ready_message(change.object) == wanted[0]:
                del wanted[0]
            if not wanted:
                break


def _ready_message(runtime: dict[str, Any]) -> str:
    return str(conditions.of(runtime, names.READY).get("message", ""))
