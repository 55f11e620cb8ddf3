"""A step that a backend has nothing for is told as such."""

from __future__ import annotations

import pytest

from controller import errors
from controller.api import reasons
from controller.backends import base


async def act(target: base.Target, progress: base.Progress) -> base.Target:
    return target


def test_a_step_leads_to_its_action() -> None:
    assert base.action_for({base.StopContainer: act}, base.StopContainer()) is act


def test_a_step_that_is_lacking_is_an_error_that_names_it() -> None:
    with pytest.raises(errors.Stalled, match="cannot do AttachDevices") as raised:
        base.action_for({base.StopContainer: act}, base.AttachDevices())
    assert raised.value.reason == reasons.SPEC_IMPOSSIBLE
