"""Values of Secrets are read when a container is created, and appear nowhere but in its environment."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from controller import errors
from controller.api import reasons
from controller.machinery import kinds as core_kinds
from controller.machinery.kinds import Kind
from tests.runtimes.harness import Harness

VALUE = "hunter2-7f3a"


def variable(key: str = "password", *, secret: str = "plc", optional: bool = False) -> dict[str, Any]:
    """A variable with its value from a Secret."""
    reference = {"name": secret, "key": key, **({"optional": True} if optional else {})}
    return {"name": "PASSWORD", "valueFrom": {"secretKeyRef": reference}}


async def create_secret(harness: Harness, value: str | bytes = VALUE, key: str = "password") -> None:
    """Create the Secret."""
    raw = value if isinstance(value, bytes) else value.encode()
    data = {key: base64.b64encode(raw).decode()}
    await harness.api.create(core_kinds.SECRETS, {"metadata": {"name": "plc", "namespace": "edge"}, "data": data})


async def change_secret(harness: Harness, value: str) -> None:
    data = {"password": base64.b64encode(value.encode()).decode()}
    await harness.api.patch(core_kinds.SECRETS, "plc", "edge", {"data": data})


async def test_a_container_gets_the_value_and_nothing_else_contains_it(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await create_secret(harness)
    await harness.create(env=[variable(), {"name": "MODE", "value": "run"}])
    assert (await harness.reconcile()).settled
    assert harness.backend.secret_env == {"PASSWORD": VALUE}
    others = [found for (plural, _, _), found in harness.api.objects.items() if plural != core_kinds.SECRETS.plural]
    assert VALUE not in json.dumps(others) + json.dumps(await harness.events()) + caplog.text


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("", "There is no Secret edge/plc"), ("other", "The Secret edge/plc has no key password")],
    ids=["secret", "key"],
)
async def test_a_missing_secret_or_key_is_named_and_awaited(harness: Harness, key: str, sentence: str) -> None:
    if key:
        await create_secret(harness, key=key)
    await harness.create(env=[variable()])
    await harness.reconcile()
    ready = harness.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", reasons.SECRET_MISSING)
    assert ready["message"].startswith(sentence)
    assert harness.condition("Stalled").get("status") != "True"
    assert harness.backend.containers == {}
    if key:
        await change_secret(harness, VALUE)
    else:
        await create_secret(harness)
    assert (await harness.reconcile()).settled
    assert harness.backend.secret_env == {"PASSWORD": VALUE}


async def test_a_missing_optional_key_is_skipped(harness: Harness) -> None:
    await harness.create(env=[variable(optional=True)])
    assert (await harness.reconcile()).settled
    assert harness.backend.secret_env == {}


@pytest.mark.parametrize("value", [b"\xff\xfe", b"a\0b", b"x" * 120_001], ids=["binary", "null", "long"])
async def test_an_invalid_value_is_reported_without_the_value(harness: Harness, value: bytes) -> None:
    await create_secret(harness, value)
    await harness.create(env=[variable()])
    await harness.reconcile()
    ready = harness.condition("Ready")
    assert ready["reason"] == reasons.SECRET_MISSING
    assert "key password of the Secret edge/plc cannot be an environment variable" in ready["message"]


async def test_a_changed_secret_takes_effect_in_the_next_container(harness: Harness) -> None:
    await create_secret(harness)
    await harness.create(env=[variable()])
    await harness.reconcile()
    started = harness.backend.only().started_at
    await change_secret(harness, "changed")
    await harness.reconcile()
    assert harness.backend.only().started_at == started
    await harness.change(version="2")
    await harness.reconcile()
    assert harness.backend.secret_env == {"PASSWORD": "changed"}


async def test_a_changed_reference_replaces_the_container(harness: Harness) -> None:
    await create_secret(harness)
    await harness.create(env=[variable(optional=True)])
    await harness.reconcile()
    await harness.change(env=[variable("other", optional=True)])
    await harness.reconcile()
    assert harness.backend.effects.count("replace") == 1
    assert harness.backend.secret_env == {}


async def test_a_runtime_keeps_running_while_its_new_secret_is_missing(harness: Harness) -> None:
    await harness.create()
    await harness.reconcile()
    started = harness.backend.only().started_at
    await harness.change(env=[variable()])
    await harness.reconcile()
    assert harness.backend.only().started_at == started
    assert "replace" not in harness.backend.effects
    message = harness.condition("Ready")["message"]
    assert "no Secret edge/plc" in message


async def test_a_start_needs_no_secret(harness: Harness) -> None:
    await create_secret(harness)
    await harness.create(env=[variable()])
    await harness.reconcile()
    await harness.change(desiredState="Stopped")
    await harness.reconcile()
    await harness.api.remove(core_kinds.SECRETS, "plc", "edge")
    await harness.change(desiredState="Running")
    assert (await harness.reconcile()).settled


async def test_no_secret_is_read_for_a_backend_that_needs_none(harness: Harness) -> None:
    def refuse(verb: str, kind: Kind) -> None:
        assert kind is not core_kinds.SECRETS

    harness.backend.needs_secrets = False
    harness.api.fault = refuse
    await harness.create(env=[variable()])
    assert (await harness.reconcile()).settled


async def test_a_secret_that_may_not_be_read_is_awaited_with_the_remedy(harness: Harness) -> None:
    def refuse(verb: str, kind: Kind) -> None:
        if kind is core_kinds.SECRETS:
            raise errors.ApiError('secrets "plc" is forbidden', code=403)

    harness.api.fault = refuse
    await harness.create(env=[variable()])
    await harness.reconcile()
    ready = harness.condition("Ready")
    assert ready["reason"] == reasons.SECRET_MISSING
    assert ready["message"].endswith("may not read the Secret edge/plc: add its name to runtimeSecrets of the chart")
