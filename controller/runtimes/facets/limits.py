"""The limits of CPU and memory: changed on the existing container, for a changed spec only."""

from __future__ import annotations

from collections.abc import Sequence

from controller import names, quantities
from controller.api import reasons
from controller.api.runtimes import Resources
from controller.backends.base import Step
from controller.backends.observation import Observed
from controller.runtimes.desired import Desired
from controller.runtimes.facets.facet import Facet


def differ(desired: Resources, actual: Resources) -> bool:
    """Whether the limits differ numerically ("500m" equals "0.5")."""
    return _numbers(desired) != _numbers(actual)


def _numbers(resources: Resources) -> tuple[int, int]:
    return quantities.nano_cpus(resources.cpu), quantities.memory_bytes(resources.memory)


def update(desired: Desired, observed: Observed) -> Sequence[Step]:
    """Change the limits. A container that was adopted without a readable spec is not changed until the spec changes."""
    if not desired.spec_changed or desired.is_unreadable(observed):
        return ()
    return (Step.UPDATE_RESOURCES,) if differ(desired.target.spec.resources, observed.limits) else ()


FACET = Facet(preparation=update, repair=update, warnings={reasons.MEMORY_UNBOUNDED: names.MEMORY_BOUNDED})
