"""Values of Secrets in the environment: read when a container is made, and found in nothing else of ours."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from controller.api import reasons
from controller.machinery import kinds as core_kinds
from controller.machinery.kinds import Kind
from tests.runtimes.world import World

VALUE = "hunter2-7f3a"


def variable(key: str = "password", *, secret: str = "plc", optional: bool = False) -> dict[str, Any]:
    """A variable whose value is in a Secret."""
    reference = {"name": secret, "key": key, **({"optional": True} if optional else {})}
    return {"name": "PASSWORD", "valueFrom": {"secretKeyRef": reference}}


async def keep(world: World, value: str | bytes = VALUE, key: str = "password") -> None:
    """Make the Secret."""
    raw = value if isinstance(value, bytes) else value.encode()
    data = {key: base64.b64encode(raw).decode()}
    await world.api.create(core_kinds.SECRETS, {"metadata": {"name": "plc", "namespace": "edge"}, "data": data})


async def change_secret(world: World, value: str) -> None:
    data = {"password": base64.b64encode(value.encode()).decode()}
    await world.api.patch(core_kinds.SECRETS, "plc", "edge", {"data": data})


async def test_a_container_gets_the_value_and_nothing_of_ours_shows_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await keep(world)
    await world.create(env=[variable(), {"name": "MODE", "value": "run"}])
    assert (await world.reconcile()).settled
    assert world.backend.secret_env == {"PASSWORD": VALUE}
    others = [found for (plural, _, _), found in world.api.objects.items() if plural != core_kinds.SECRETS.plural]
    assert VALUE not in json.dumps(others) + json.dumps(await world.events()) + caplog.text


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("", "There is no Secret edge/plc"), ("other", "The Secret edge/plc has no key password")],
    ids=["secret", "key"],
)
async def test_what_is_missing_is_named_and_waited_for(world: World, key: str, sentence: str) -> None:
    if key:
        await keep(world, key=key)
    await world.create(env=[variable()])
    await world.reconcile()
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", reasons.SECRET_MISSING)
    assert ready["message"].startswith(sentence)
    assert world.condition("Stalled").get("status") != "True"
    assert world.backend.containers == {}
    if key:
        await change_secret(world, VALUE)
    else:
        await keep(world)
    assert (await world.reconcile()).settled
    assert world.backend.secret_env == {"PASSWORD": VALUE}


async def test_an_optional_one_that_is_missing_is_left_out(world: World) -> None:
    await world.create(env=[variable(optional=True)])
    assert (await world.reconcile()).settled
    assert world.backend.secret_env == {}


@pytest.mark.parametrize("value", [b"\xff\xfe", b"a\0b", b"x" * 120_001], ids=["binary", "null", "long"])
async def test_a_value_that_no_program_can_get_is_told_without_it(world: World, value: bytes) -> None:
    await keep(world, value)
    await world.create(env=[variable()])
    await world.reconcile()
    ready = world.condition("Ready")
    assert ready["reason"] == reasons.SECRET_MISSING
    assert "key password of the Secret edge/plc cannot be an environment variable" in ready["message"]


async def test_a_changed_secret_restarts_nothing_and_the_next_container_has_it(world: World) -> None:
    await keep(world)
    await world.create(env=[variable()])
    await world.reconcile()
    started = world.backend.only().started_at
    await change_secret(world, "changed")
    await world.reconcile()
    assert world.backend.only().started_at == started
    await world.change(version="2")
    await world.reconcile()
    assert world.backend.secret_env == {"PASSWORD": "changed"}


async def test_another_reference_replaces_the_container(world: World) -> None:
    await keep(world)
    await world.create(env=[variable(optional=True)])
    await world.reconcile()
    await world.change(env=[variable("other", optional=True)])
    await world.reconcile()
    assert world.backend.effects.count("replace") == 1
    assert world.backend.secret_env == {}


async def test_a_runtime_runs_on_while_its_new_secret_is_missing(world: World) -> None:
    await world.create()
    await world.reconcile()
    started = world.backend.only().started_at
    await world.change(env=[variable()])
    await world.reconcile()
    assert world.backend.only().started_at == started
    assert "replace" not in world.backend.effects
    message = world.condition("Ready")["message"]
    assert "no Secret edge/plc" in message


async def test_a_start_needs_no_secret(world: World) -> None:
    await keep(world)
    await world.create(env=[variable()])
    await world.reconcile()
    await world.change(desiredState="Stopped")
    await world.reconcile()
    world.api.remove(core_kinds.SECRETS, "plc", "edge")
    await world.change(desiredState="Running")
    assert (await world.reconcile()).settled


async def test_a_backend_whose_nodes_read_secrets_is_given_none(world: World) -> None:
    def refuse(verb: str, kind: Kind) -> None:
        assert kind is not core_kinds.SECRETS

    world.backend.needs_secrets = False
    world.api.fault = refuse
    await world.create(env=[variable()])
    assert (await world.reconcile()).settled
