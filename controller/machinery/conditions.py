"""Conditions in the metav1.Condition shape (API conventions: typical status properties).

``lastTransitionTime`` changes only when ``status`` flips, so that it shows since when the status holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from controller.machinery.model import Model, Timestamp

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Model):
    """One observed aspect of an object."""

    type: Annotated[str, Field(max_length=63)] = Field(description="Type of the condition.")
    status: ConditionStatus = Field(description="Whether the condition holds.")
    reason: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")] = (
        Field(description="Machine-readable reason for the status.")
    )
    message: Annotated[str, Field(max_length=1024)] = Field(default="", description="Explanation for a person.")
    last_transition_time: Timestamp = Field(description="Time at which the status changed last.")
    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Generation of the object that the condition is about."
    )


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of this type, or None."""
    return next((c for c in conditions if c.type == kind), None)


def merge(previous: Iterable[Condition], current: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return ``current`` with the transition times of ``previous`` where the status did not flip."""
    before = {c.type: c for c in previous}

    def keep_time(condition: Condition) -> Condition:
        old = before.get(condition.type)
        if old is None or old.status != condition.status:
            return condition
        return condition.model_copy(update={"last_transition_time": old.last_transition_time})

    return tuple(keep_time(c) for c in current)
