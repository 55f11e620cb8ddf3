"""Computes the status of a Runtime after a pass from the observation and the outcome. Pure.

The status is complete on every path: facts that could not be observed keep their last value, and the conditions say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controller import names
from controller.api import reasons
from controller.api.runtime_status import Operation, RuntimeStatus, state_name
from controller.backends.observation import Observed
from controller.machinery import conditions, timestamps
from controller.machinery.conditions import MESSAGE_LIMIT, Condition, ConditionStatus
from controller.runtimes import drift, restarts
from controller.runtimes.facets.facet import Finding
from controller.runtimes.facets.table import FACETS
from controller.runtimes.outcome import Report

_HEALTH: dict[str, tuple[ConditionStatus, str]] = {
    "healthy": ("True", reasons.HEALTHY),
    "unhealthy": ("False", reasons.UNHEALTHY),
    "starting": ("Unknown", reasons.PROGRESSING),
}


def after(previous: RuntimeStatus, report: Report) -> RuntimeStatus:
    """The complete new status."""
    outcome, generation = report.outcome, report.target.generation
    values: dict[str, Any] = {
        "node": report.node,
        "conditions": conditions.merge(previous.conditions, _conditions(previous, report)),
        "operation": operation(previous, report),
        "error": outcome.message[:MESSAGE_LIMIT] if outcome.failed else None,
        "restart": report.restart or previous.restart,
        **(_facts(previous, report, report.observed) if report.observed else {}),
    }
    # For kstatus, an older observedGeneration means in progress: a spec that needs a person is not.
    if outcome.kind in ("ready", "stalled"):
        values |= {"observed_generation": generation, "last_command": report.last_command or previous.last_command}
    # Not for a stalled one: after a correction elsewhere, such as of a registry, it must be tried again.
    if outcome.kind == "ready":
        values |= {"applied_generation": generation, "failed_generation": None}
    if outcome.reason == reasons.REPLACE_FAILED:
        values["failed_generation"] = generation
    return previous.model_copy(update=values)


def without_container(known: RuntimeStatus) -> RuntimeStatus:
    """The status of a Runtime that owns no container; its history is kept."""
    fresh = RuntimeStatus()
    gone = [
        "container_id",
        "state",
        "health",
        "started_at",
        *(name for facet in FACETS for name in facet.status_fields),
    ]
    return known.model_copy(update={name: getattr(fresh, name) for name in gone})


def under_way(previous: RuntimeStatus, report: Report) -> RuntimeStatus:
    """The status while steps run: only conditions and operation change, facts only when they are observed."""
    values = {
        "node": report.node,
        "conditions": conditions.merge(previous.conditions, _conditions(previous, report)),
        "operation": operation(previous, report),
        "restart": report.restart or previous.restart,
    }
    return previous.model_copy(update=values)


def operation(previous: RuntimeStatus, report: Report) -> Operation | None:
    """The operation in progress and its start time; None once it is done or needs a person."""
    if report.operation is None or report.outcome.kind not in ("waiting", "retry"):
        return None
    now = timestamps.rfc3339(report.now)
    same = previous.operation is not None and previous.operation.name == report.operation
    return Operation(
        name=report.operation,
        step=report.outcome.reason,
        message=report.outcome.message[:MESSAGE_LIMIT],
        started_at=previous.operation.started_at if same and previous.operation else now,
        updated_at=now,
    )


def changes(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7396) of the top-level fields from one wire status to the next, {} when equal."""
    gone: dict[str, Any] = {name: None for name in before if name not in now}
    return gone | {name: value for name, value in now.items() if before.get(name) != value}


def is_deleted(known: RuntimeStatus) -> bool:
    """Whether an earlier pass removed everything; until the finalizer is gone, the removal is only repeated."""
    ready = conditions.find(known.conditions, names.READY)
    return ready is not None and ready.reason == reasons.DELETED


def reported_failure(known: RuntimeStatus) -> str:
    """The message of a failed replacement, from the status."""
    stalled = conditions.find(known.conditions, names.STALLED)
    return stalled.message if stalled and stalled.reason == reasons.REPLACE_FAILED else ""


def _conditions(previous: RuntimeStatus, report: Report) -> list[Condition]:
    outcome, generation = report.outcome, report.target.generation
    summary = {
        names.READY: _ready(report),
        names.RECONCILING: _flag(outcome.kind in ("waiting", "retry")),
        names.STALLED: _flag(outcome.kind == "stalled"),
    }
    found = [Finding(kind, state, outcome.reason, outcome.message) for kind, state in summary.items()]
    kept = []
    if report.observed is None:
        kept = [condition for condition in previous.conditions if condition.type not in summary]
    elif report.observed.exists:
        found += _findings(report, report.observed)
    return [conditions.build(*finding, now=report.now, generation=generation) for finding in found] + kept


def _ready(report: Report) -> ConditionStatus:
    kind, reason, _ = report.outcome
    # Waiting without an observation: nobody knows whether the program runs.
    if reason == reasons.NODE_AWAY or kind == "paused" or (report.observed is None and kind == "waiting"):
        return "Unknown"
    return _flag(kind == "ready")


def _flag(value: bool) -> ConditionStatus:
    return "True" if value else "False"


def _findings(report: Report, observed: Observed) -> Iterator[Finding]:
    """What the observation of an existing container says."""
    warnings = {reason: kind for facet in FACETS for reason, kind in facet.warnings.items()}
    for reason, message in observed.warnings:
        if reason in warnings:
            yield Finding(warnings[reason], "False", reason, message)
    if observed.health in _HEALTH:
        yield Finding(names.HEALTHY, *_HEALTH[observed.health], f"The health check reports {observed.health}")
    for facet in FACETS:
        reported = drift.of(report.target.spec, observed, facet.drift_condition) if facet.drift_condition else []
        if finding := facet.condition(report, observed, reported):
            yield finding


def _facts(previous: RuntimeStatus, report: Report, observed: Observed) -> dict[str, Any]:
    known = restarts.history(previous, observed, report.restart_context)
    facts = {
        "restart_count": known.count,
        "restarts": known.records,
        "last_restart": known.last_restart,
        "engine_restart_count": observed.restart_count,
        "container_id": observed.container_id or None,
        "state": state_name(observed.state) if observed.exists else None,
        "health": observed.health if observed.exists else None,
        "started_at": observed.started_at or previous.started_at,
        "boot_id": report.restart_context.boot_id or None,
        "started_seconds": _started_seconds(previous, observed),
        "finished_at": observed.finished_at or previous.finished_at,
    }
    for facet in FACETS:
        facts |= facet.status(previous, report, observed)
    if observed.exit_code is not None and not (observed.running and observed.finished_at == previous.finished_at):
        facts |= {"exit_code": observed.exit_code, "out_of_memory": observed.oom_killed}
    return facts


def _started_seconds(previous: RuntimeStatus, observed: Observed) -> int | None:
    """The start time in seconds since boot of the run that began at ``started_at``."""
    if observed.started_seconds is not None:
        return int(observed.started_seconds)
    return previous.started_seconds if observed.started_at in ("", previous.started_at) else None
