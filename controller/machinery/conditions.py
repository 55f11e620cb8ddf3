"""Conditions in the metav1.Condition shape (API conventions: typical status properties).

``lastTransitionTime`` changes only when ``status`` flips, so that it shows since when the status holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from controller.machinery import timestamps
from controller.machinery.model import Model, Timestamp

MESSAGE_LIMIT = 1024
ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Model):
    """One observed aspect of an object."""

    type: Annotated[str, Field(max_length=63)] = Field(description="Type of the condition.")
    status: ConditionStatus = Field(description="Whether the condition holds.")
    reason: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")] = (
        Field(description="Machine-readable reason for the status.")
    )
    message: Annotated[str, Field(max_length=MESSAGE_LIMIT)] = Field(
        default="", description="Explanation for a person."
    )
    last_transition_time: Timestamp = Field(description="Time at which the status changed last.")
    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Generation of the object that the condition is about."
    )


def build(
    kind: str, status: ConditionStatus, reason: str, message: str, *, now: float, generation: int | None = None
) -> Condition:
    """A condition that flipped at ``now`` (seconds since 1970); see ``merge``. Cuts the message to its limit."""
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        # The API would reject a longer message, and with it the whole status.
        message=message[:MESSAGE_LIMIT],
        last_transition_time=timestamps.rfc3339(now),
        observed_generation=generation,
    )


def of(body: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The condition of this type of an object on the wire, {} if there is none."""
    found = (body.get("status") or {}).get("conditions") or ()
    return next((condition for condition in found if condition["type"] == kind), {})


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of this type, or None."""
    return next((c for c in conditions if c.type == kind), None)


def merge(previous: Iterable[Condition], current: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return ``current`` with the transition times of ``previous`` where the status did not flip."""
    before = {c.type: c for c in previous}

    def keep_time(condition: Condition) -> Condition:
        old = before.get(condition.type)
        # A changed reason or message is no transition (API conventions).
        if old is None or old.status != condition.status:
            return condition
        return condition.model_copy(update={"last_transition_time": old.last_transition_time})

    return tuple(keep_time(c) for c in current)
