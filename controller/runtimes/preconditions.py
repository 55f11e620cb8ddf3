"""Preconditions of a start and of a ready runtime. Each one that does not hold is reported as an outcome.

Pure, like the plan, which decides what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.api import reasons
from controller.api.runtimes import RuntimeSpec
from controller.backends.observation import Observed
from controller.runtimes import drift
from controller.runtimes.desired import Desired
from controller.runtimes.facets import facet
from controller.runtimes.facets.table import FACETS
from controller.runtimes.outcome import Outcome, of_reason


def to_apply(desired: Desired) -> Outcome | None:
    """Why a setting forbids the spec; None if it may be applied."""
    return _first(each.refusal(desired) for each in FACETS)


def to_start(observed: Observed) -> Outcome | None:
    """The blocker of a start; None when the container can be started."""
    return _first(each.blocker(observed) for each in FACETS) or _start_blocker(observed)


def to_run_as_asked(spec: RuntimeSpec, observed: Observed) -> Outcome | None:
    """What keeps a started runtime from being ready; None when it runs as its spec asks."""
    return _not_running(observed) or _first(each.missing(observed) for each in FACETS) or _drift(spec, observed)


def _first(found: Iterable[Outcome | None]) -> Outcome | None:
    return next((outcome for outcome in found if outcome), None)


def _start_blocker(observed: Observed) -> Outcome | None:
    if not observed.start_blockers:
        return None
    reason, message = observed.start_blockers[0]
    return of_reason(reason, message)


def _drift(spec: RuntimeSpec, observed: Observed) -> Outcome | None:
    """Drift that affects the readiness: retried, or waiting for what it depends on."""
    found = [one for one in drift.of(spec, observed) if one.affects_ready]
    if not found:
        return None
    # Waiting only if nothing of it can be repaired now; else the backoff repeats the repair soon.
    if reason := facet.awaited(found):
        return of_reason(reason, f"The container runs, but {facet.describe(found)}")
    return Outcome("retry", reasons.DETACHED, f"The container does not match the spec: {facet.describe(found)}")


def _not_running(observed: Observed) -> Outcome | None:
    """Why a started runtime is not running."""
    if observed.blocker:
        return of_reason(*observed.blocker)
    if observed.state == "restarting":
        message = f"The program exited ({_end(observed)}) and is restarted"
        return of_reason(reasons.CRASHED, message)
    return None


def _end(observed: Observed) -> str:
    return "out of memory" if observed.oom_killed else f"exit code {observed.exit_code}"
