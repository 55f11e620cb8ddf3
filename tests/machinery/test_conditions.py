"""Conditions are built and read in one place; their transition time changes only when the status flips."""

from __future__ import annotations

import pytest

from controller.machinery import conditions

EARLIER, LATER = 0.0, 60.0


def built(status: conditions.ConditionStatus, now: float, reason: str = "Running") -> conditions.Condition:
    return conditions.build("Ready", status, reason, "It runs", now=now, generation=3)


def test_the_message_is_cut_to_its_limit() -> None:
    condition = conditions.build("Ready", "False", "StepFailed", "x" * 2000, now=EARLIER)
    assert len(condition.message) == conditions.MESSAGE_LIMIT
    assert condition.wire() == {
        "type": "Ready",
        "status": "False",
        "reason": "StepFailed",
        "message": "x" * conditions.MESSAGE_LIMIT,
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("now", "since"),
    [
        pytest.param(built("True", LATER, reason="Stopped"), EARLIER, id="another reason keeps the time"),
        pytest.param(built("False", LATER), LATER, id="another status sets it"),
    ],
)
def test_the_transition_time(now: conditions.Condition, since: float) -> None:
    (merged,) = conditions.merge([built("True", EARLIER)], [now])
    assert merged == now.model_copy(update={"last_transition_time": built("True", since).last_transition_time})


@pytest.mark.parametrize("body", [{}, {"status": None}, {"status": {"conditions": [{"type": "Stalled"}]}}])
def test_an_object_without_the_condition(body: dict[str, object]) -> None:
    assert conditions.of(body, "Ready") == {}


def test_the_condition_of_an_object_on_the_wire() -> None:
    ready = built("True", EARLIER).wire()
    assert conditions.of({"status": {"conditions": [{"type": "Stalled"}, ready]}}, "Ready") == ready
