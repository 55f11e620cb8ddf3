"""Properties of steps, and the answer of a backend that does not support one."""

from __future__ import annotations

import dataclasses
from unittest.mock import AsyncMock

import pytest

from controller import errors
from controller.api import reasons, runtimes
from controller.backends import base
from controller.backends.base import Step


def test_a_repair_is_repeatable() -> None:
    assert all(step.repeatable for step in Step if step.repair)


def test_a_step_that_must_run_only_once_is_not_repeatable() -> None:
    once = (Step.CREATE_CONTAINER, Step.RESTART_CONTAINER, Step.REPLACE_CONTAINER, Step.REMOVE_CONTAINER)
    assert not any(step.repeatable for step in once)


def test_actions_have_a_field_for_every_step() -> None:
    assert {field.name for field in dataclasses.fields(base.Actions)} == {step.name.lower() for step in Step}


async def test_an_unsupported_step_is_named() -> None:
    spec = runtimes.RuntimeSpec.model_validate({"deviceId": "plc", "image": "plc"})
    target = base.Target(base.Identity("id", "edge", "plc"), "plc", "", 1, spec)
    with pytest.raises(errors.Stalled, match="does not support AttachDevices") as raised:
        await base.unsupported(Step.ATTACH_DEVICES)(target, AsyncMock())
    assert raised.value.reason == reasons.SPEC_IMPOSSIBLE
