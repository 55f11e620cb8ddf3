"""The desired state of one Runtime, the input of the plan."""

from __future__ import annotations

from dataclasses import dataclass

from controller.api.runtime_status import RestartIntent
from controller.backends import base
from controller.backends.observation import Observed


@dataclass(frozen=True)
class Desired:
    """The desired state of one Runtime: its target and what its status recorded.

    ``failure`` is the message of the last failed replacement. ``image_source`` is the reference that ``target.image``
    was resolved from, "" if unknown. ``in_place``: the backend can repair the interfaces on the existing container.
    """

    target: base.Target
    deleting: bool = False
    applied_generation: int | None = None
    failed_generation: int | None = None
    failure: str = ""
    image_source: str = ""
    restart: RestartIntent | None = None
    image_allowed: bool = True
    in_place: bool = True

    @property
    def spec_changed(self) -> bool:
        """Whether this generation is still to be applied: unless it is, a difference never changes a container."""
        return self.target.generation not in (self.applied_generation, self.failed_generation)

    @property
    def replacement_failed(self) -> bool:
        """Whether the replacement for this generation failed and was rolled back."""
        return self.target.generation == self.failed_generation

    def is_unreadable(self, observed: Observed) -> bool:
        """Whether it was adopted without a readable spec: such a container is not changed until the spec changes."""
        return observed.made_from is None and self.applied_generation is None
