"""Which image a runtime runs, when it is resolved, replaced and pulled, and what ends a pull."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from controller import errors
from controller.api import kinds, reasons
from controller.backends import base
from controller.machinery import kinds as core_kinds
from controller.machinery.kinds import Kind
from tests.runtimes.world import KEY, World


async def test_an_old_container_keeps_running_when_its_new_image_is_not_there(world: World) -> None:
    await world.create()
    await world.reconcile()
    started = world.backend.only().started_at
    await world.change(version="9")
    await world.reconcile()
    assert world.condition("Stalled")["reason"] == reasons.IMAGE_NOT_FOUND
    assert world.backend.only().started_at == started
    await world.change(version="2")
    assert (await world.reconcile()).settled
    assert world.status()["image"] == "pin-2"
    assert world.status()["previousImage"] == "pin-1"


async def test_a_moved_tag_changes_nothing_until_the_reference_changes(world: World) -> None:
    await world.create()
    await world.reconcile()
    world.backend.registry["registry/plc:1"] = "pin-1-moved"
    await world.change(env=[{"name": "A", "value": "1"}])
    await world.reconcile()
    assert world.backend.only().image == "pin-1"
    world.backend.containers.clear()
    await world.reconcile()
    assert world.backend.only().image == "pin-1"


async def test_another_reference_to_the_same_image_is_noted_and_replaces_nothing(world: World) -> None:
    await world.create()
    await world.reconcile()
    world.backend.registry["registry/plc:stable"] = "pin-1"
    await world.change(version="stable")
    await world.reconcile()
    assert "replace" not in world.backend.effects
    assert world.status()["imageSource"] == "registry/plc:stable"
    world.backend.registry["registry/plc:stable"] = "moved"
    await world.change(desiredState="Stopped")
    await world.change(desiredState="Running")
    await world.reconcile()
    assert world.backend.only().image == "pin-1"


async def test_a_failed_replacement_is_not_repeated_and_the_next_spec_is_tried(world: World) -> None:
    await world.create()
    await world.reconcile()
    world.backend.does_not_run.add("pin-2")
    await world.change(version="2")
    await world.reconcile()
    why = world.condition("Stalled")["message"]
    await world.reconcile()
    assert world.backend.effects.count("roll back") == 1
    assert world.condition("Stalled")["message"] == world.status()["error"] == why
    assert world.status()["failedGeneration"] == 2
    assert world.condition("Stalled")["reason"] == reasons.REPLACE_FAILED
    assert world.status()["image"] == "pin-1"
    await world.change(version="1")
    assert (await world.reconcile()).settled
    assert "failedGeneration" not in world.status()


async def test_an_image_outside_the_allowed_prefixes_is_refused(world: World) -> None:
    world.image_prefixes = ("ghcr.io/",)
    world.restart_controller()
    await world.create()
    await world.reconcile()
    assert world.condition("Stalled")["reason"] == reasons.IMAGE_NOT_ALLOWED


async def test_what_runs_from_an_image_that_is_refused_now_is_kept_told_and_made_again(world: World) -> None:
    await world.create()
    await world.reconcile()
    world.image_prefixes = ("registry/pl",)  # a beginning of the name, which an earlier version took
    world.restart_controller()
    await world.reconcile()
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("ImageAllowed")["reason"] == reasons.IMAGE_NOT_ALLOWED
    world.backend.containers.clear()
    await world.reconcile()
    assert world.condition("Ready")["status"] == "True"
    await world.change(version="2")
    await world.reconcile()
    assert world.condition("Stalled")["reason"] == reasons.IMAGE_NOT_ALLOWED
    assert world.backend.only().image == "pin-1"


async def test_pull_secrets_go_to_the_step_that_pulls_and_no_further(world: World) -> None:
    auth = base64.b64encode(b"robot:hunter2").decode()
    document = base64.b64encode(json.dumps({"auths": {"registry": {"auth": auth}}}).encode()).decode()
    secret = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": document}}
    await world.api.create(core_kinds.SECRETS, {"metadata": {"name": "pull", "namespace": "edge"}, **secret})
    await world.create(imagePullSecrets=[{"name": "missing"}, {"name": "pull"}])
    assert (await world.reconcile()).settled
    assert world.backend.credentials == ({"registry": "registry", "username": "robot", "password": "hunter2"},)
    assert "hunter2" not in json.dumps(world.status())


async def pulling(world: World) -> asyncio.Task[Any]:
    """A pass that is in the middle of a pull."""
    world.backend.pull_gate = asyncio.Event()
    task = asyncio.create_task(world.reconcile())
    await world.backend.pulling.wait()
    assert world.condition("Reconciling")["reason"] == reasons.IMAGE_PULLING
    return task


async def test_a_deletion_ends_a_pull(world: World) -> None:
    await world.create()
    task = await pulling(world)
    await world.delete()
    world.interrupted.set()
    assert (await task).again
    assert world.backend.pulls_abandoned == 1
    world.backend.pull_gate = None
    assert (await world.reconcile()).settled


async def test_an_api_that_is_away_for_a_moment_ends_no_pull(world: World) -> None:
    await world.create()
    world.backend.pull_gate = asyncio.Event()
    world.backend.pull_gate.set()

    def away_in_the_pull(verb: str, kind: Kind) -> None:
        if verb == "patch" and world.status() and not world.backend.pulling.is_set():
            raise errors.ApiUnavailableError("no answer")

    world.api.fault = away_in_the_pull
    assert (await world.reconcile()).settled


async def test_a_corrected_image_ends_a_pull(world: World) -> None:
    await world.create()
    task = await pulling(world)
    await world.change(version="2")
    world.interrupted.set()
    assert (await task).again


async def test_an_interruption_without_another_wish_lets_a_pull_go_on(world: World) -> None:
    await world.create()
    task = await pulling(world)
    await world.api.patch(kinds.RUNTIMES, KEY.name, KEY.namespace, {"metadata": {"labels": {"a": "b"}}})
    asked = asyncio.Event()
    world.api.fault = lambda verb, kind: asked.set()
    world.interrupted.set()
    await asked.wait()
    assert world.backend.pull_gate
    world.backend.pull_gate.set()
    assert (await task).settled
    assert world.backend.pulls_abandoned == 0


@pytest.mark.parametrize("spec", [{}, {"version": None, "digest": f"sha256:{1:064}"}], ids=["tag", "digest"])
async def test_what_waits_for_an_image_names_it(world: World, spec: dict[str, Any]) -> None:
    reference = f"registry/plc@{spec['digest']}" if spec else "registry/plc:1"
    world.backend.registry[reference] = "pin"
    seen: list[str] = []

    def look(when: str, step: base.Step) -> None:
        if when == "before" and step is base.Step.RESOLVE_IMAGE:
            seen.append(world.condition("Ready")["message"])

    world.backend.fault = look
    await world.create(**spec)
    await world.reconcile()
    world.backend.registry["registry/plc:2"] = "pin-2"
    await world.change(version="2", digest=None)
    await world.reconcile()
    assert seen == [f"Creating the container from {reference}", "Resolving the image registry/plc:2"]
