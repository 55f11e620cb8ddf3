"""What a facet of a runtime contributes to the plan and the status."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from controller.api.runtime_status import RuntimeStatus
from controller.api.runtimes import RuntimeSpec
from controller.backends.base import Step
from controller.backends.observation import Observed
from controller.machinery.conditions import ConditionStatus
from controller.runtimes.desired import Desired
from controller.runtimes.keys import Need
from controller.runtimes.outcome import Outcome, Report


class Drift(NamedTuple):
    """One interface, device or the like that differs from the spec.

    ``awaits`` is the reason that has to go away before any step can repair it; "" when a step can repair it now.
    ``affects_ready``: the runtime is not ready until it is repaired.
    """

    name: str
    detail: str
    awaits: str = ""
    affects_ready: bool = True


class Release(NamedTuple):
    """The step that takes back what a container still holds that does not run, and a message about it."""

    step: Step
    message: str


class Finding(NamedTuple):
    """A condition of the status, without generation and time."""

    type: str
    status: ConditionStatus
    reason: str
    message: str


def _none(*_: object) -> None:
    return None


def _false(*_: object) -> bool:
    return False


def _nothing(*_: object) -> tuple[()]:
    return ()


def _no_facts(*_: object) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Facet:
    """One aspect of a runtime as pure functions; what a facet leaves out contributes nothing."""

    spec_fields: frozenset[str] = frozenset()
    """The fields of the spec, in Python's spelling, that may explain a new container."""

    needs: Callable[[RuntimeSpec], Sequence[Need]] = _nothing
    """What it needs of the host."""

    refusal: Callable[[Desired], Outcome | None] = _none
    """Why a setting forbids to apply the spec; what runs already is left running."""

    blocker: Callable[[Observed], Outcome | None] = _none
    """What the host lacks at the moment to start the container."""

    missing: Callable[[Observed], Outcome | None] = _none
    """What the host lacks that also keeps a running runtime from being ready, whatever its drift."""

    drift: Callable[[RuntimeSpec, Observed], Sequence[Drift]] = _nothing
    """All differences between the spec and the container that are observed, not inferred from its spec."""

    replaces: Callable[[Desired, Observed, RuntimeSpec], bool] = _false
    """Whether the changed spec needs a new container; the last argument is the spec of the current one."""

    expires: Callable[[Observed], bool] = _false
    """Whether a start that is due anyway should use a new container, although the spec has not changed."""

    preparation: Callable[[Desired, Observed], Sequence[Step]] = _nothing
    """The steps before the start of an existing container."""

    repair: Callable[[Desired, Observed], Sequence[Step]] = _nothing
    """The steps that make a running container match without a restart."""

    release: Callable[[Observed], Release | None] = _none
    """What to take back from a container that does not run."""

    status: Callable[[RuntimeStatus, Report, Observed], dict[str, Any]] = _no_facts
    """The fields of the status."""

    status_fields: tuple[str, ...] = ()
    """Those of these fields that describe the container: a Runtime without one has none of them."""

    condition: Callable[[Report, Observed, Sequence[Drift]], Finding | None] = _none
    """The condition of an existing container, given the drift of all facets with its ``drift_condition``."""

    drift_condition: str = ""
    """The type of the condition that reports the drift; facets may share one."""

    warnings: Mapping[str, str] = field(default_factory=dict)
    """The types of the conditions for reasons in ``Observed.warnings``."""


def is_repairable(found: Sequence[Drift]) -> bool:
    """Whether a step can repair any of it now; an interface without its parent has to wait."""
    return any(not one.awaits for one in found)


def awaited(found: Sequence[Drift]) -> str:
    """The reason that blocks the repair of all of it; "" when some of it can be repaired now."""
    return "" if not found or is_repairable(found) else found[0].awaits


def describe(found: Sequence[Drift]) -> str:
    """The drift in one sentence."""
    return "; ".join(f"{one.name}: {one.detail}" for one in found)
