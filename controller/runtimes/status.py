"""Computes the status of a Runtime after a pass from the observation and the outcome. Pure.

The status is complete on every path: facts that could not be observed keep their last value, and the conditions say so.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from controller import names
from controller.api import reasons
from controller.api.runtime_status import (
    InterfaceStatus,
    LeaseStatus,
    Operation,
    RestartIntent,
    RuntimeStatus,
    SerialPortStatus,
    state_name,
)
from controller.backends import base
from controller.backends.observation import Observed, ObservedLease
from controller.machinery import conditions, timestamps
from controller.machinery.conditions import Condition, ConditionStatus
from controller.runtimes import drift, plan, restarts
from controller.runtimes.outcome import Outcome
from controller.runtimes.restart_context import RestartContext

MESSAGE_LIMIT = 1024
_HEALTH: dict[str, tuple[ConditionStatus, str]] = {
    "healthy": ("True", reasons.HEALTHY),
    "unhealthy": ("False", reasons.UNHEALTHY),
    "starting": ("Unknown", reasons.PROGRESSING),
}
_WARNING_CONDITIONS = {
    reasons.REALTIME_UNAVAILABLE: names.REALTIME_AVAILABLE,
    reasons.REALTIME_BY_CAPABILITIES: names.REALTIME_AVAILABLE,
    reasons.EXCESS_RIGHTS: names.CONFINED,
    reasons.MEMORY_UNBOUNDED: names.MEMORY_BOUNDED,
}


@dataclass(frozen=True)
class Report:
    """The results of a pass; ``observed`` is None if the backend could not observe the container.

    ``image_source`` is the reference that ``target.image`` was resolved from; ``restart_context`` explains a new
    start or stop. ``last_command`` is the command that last wrote the object.
    """

    target: base.Target
    outcome: Outcome
    now: float
    node: str | None
    observed: Observed | None = None
    image_source: str = ""
    image_allowed: bool = True
    operation: plan.Operation | None = None
    restart: RestartIntent | None = None
    restart_context: RestartContext = field(default_factory=RestartContext)
    last_command: str | None = None


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
    if outcome.kind in ("ready", "stalled"):
        values |= {"observed_generation": generation, "last_command": report.last_command or previous.last_command}
    if outcome.kind == "ready":
        values |= {"applied_generation": generation, "failed_generation": None}
    if outcome.reason == reasons.REPLACE_FAILED:
        values["failed_generation"] = generation
    return previous.model_copy(update=values)


def without_container(known: RuntimeStatus) -> RuntimeStatus:
    """The status of a Runtime that owns no container; its history is kept."""
    fresh = RuntimeStatus()
    gone = ("container_id", "state", "health", "started_at", "internal_ip", "interfaces", "serial_ports")
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


def _conditions(previous: RuntimeStatus, report: Report) -> list[Condition]:
    outcome = report.outcome
    ready: ConditionStatus = "True" if outcome.kind == "ready" else "False"
    if outcome.reason == reasons.NODE_AWAY:
        ready = "Unknown"
    if outcome.kind == "paused" or (report.observed is None and outcome.kind == "waiting"):
        ready = "Unknown"
    summary: dict[str, ConditionStatus] = {
        names.READY: ready,
        names.RECONCILING: _flag(outcome.kind in ("waiting", "retry")),
        names.STALLED: _flag(outcome.kind == "stalled"),
    }
    made = [_condition(report, kind, state, outcome.reason, outcome.message) for kind, state in summary.items()]
    if report.observed is None:
        return made + [condition for condition in previous.conditions if condition.type not in summary]
    return made + _observed_conditions(report, report.observed)


def _observed_conditions(report: Report, observed: Observed) -> list[Condition]:
    if not observed.exists:
        return []
    made = [
        _condition(report, _WARNING_CONDITIONS[reason], "False", reason, message)
        for reason, message in observed.warnings
        if reason in _WARNING_CONDITIONS
    ]
    if not report.image_allowed:
        message = f"{report.target.spec.image} is outside EDGE_IMAGE_PREFIXES: it is kept, but no new image is used"
        made.append(_condition(report, names.IMAGE_ALLOWED, "False", reasons.IMAGE_NOT_ALLOWED, message))
    if observed.health in _HEALTH:
        state, reason = _HEALTH[observed.health]
        made.append(_condition(report, names.HEALTHY, state, reason, f"The health check reports {observed.health}"))
    if observed.running:
        made.append(_network_condition(report, observed))
    if observed.devices:
        made.append(_device_condition(report, observed))
    return made


def _network_condition(report: Report, observed: Observed) -> Condition:
    found = drift.network_drift(report.target.spec, observed)
    if found:
        message = drift.describe(found)
        reason = drift.awaited(found) or reasons.DETACHED
        return _condition(report, names.NETWORK_ATTACHED, "False", reason, message)
    if remarked := [interface for interface in observed.network.interfaces if interface.remark]:
        message = f"{remarked[0].name}: {reasons.meaning(remarked[0].remark)}"
        return _condition(report, names.NETWORK_ATTACHED, "True", remarked[0].remark, message)
    return _condition(report, names.NETWORK_ATTACHED, "True", reasons.ATTACHED, "All interfaces match the spec")


def _device_condition(report: Report, observed: Observed) -> Condition:
    found = drift.device_drift(observed)
    if found:
        reason = drift.awaited(found) or found[0].awaits or reasons.DETACHED
        return _condition(report, names.DEVICES_ATTACHED, "False", reason, drift.describe(found))
    return _condition(report, names.DEVICES_ATTACHED, "True", reasons.ATTACHED, "All serial ports match the spec")


def _flag(value: bool) -> ConditionStatus:
    return "True" if value else "False"


def _condition(report: Report, kind: str, state: ConditionStatus, reason: str, message: str) -> Condition:
    return Condition(
        type=kind,
        status=state,
        reason=reason,
        message=message[:MESSAGE_LIMIT],
        last_transition_time=timestamps.rfc3339(report.now),
        observed_generation=report.target.generation,
    )


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
        "internal_ip": observed.network.internal_ip or None,
        "interfaces": _interfaces(previous, report, observed),
        "serial_ports": _serial_ports(report, observed),
        **_image(previous, report, observed),
    }
    if observed.exit_code is not None and not (observed.running and observed.finished_at == previous.finished_at):
        facts |= {"exit_code": observed.exit_code, "out_of_memory": observed.oom_killed}
    return facts


def _started_seconds(previous: RuntimeStatus, observed: Observed) -> int | None:
    """The start time in seconds since boot of the run that began at ``started_at``."""
    if observed.started_seconds is not None:
        return int(observed.started_seconds)
    return previous.started_seconds if observed.started_at in ("", previous.started_at) else None


def _image(previous: RuntimeStatus, report: Report, observed: Observed) -> dict[str, Any]:
    """The image pin and its source; while a container with another pin exists, that one is reported."""
    image, source = report.target.image, report.image_source
    if observed.exists and observed.image.pin != image:
        image, source = observed.image.pin, observed.image.source
    if not image:
        return {}
    older = previous.image if previous.image not in (None, image) else previous.previous_image
    return {"image": image, "image_source": source or None, "previous_image": older}


def _interfaces(previous: RuntimeStatus, report: Report, observed: Observed) -> tuple[InterfaceStatus, ...]:
    """Every interface of the spec; a missing one keeps its MAC address for its return."""
    known = {interface.name: interface for interface in previous.interfaces}
    known |= {
        interface.name: InterfaceStatus(
            name=interface.name,
            address=interface.address,
            mac_address=interface.mac_address,
            gateway=interface.gateway,
            lease=_lease(interface.lease),
        )
        for interface in observed.network.interfaces
    }
    return tuple(known[desired.name] for desired in report.target.spec.interfaces if desired.name in known)


def _serial_ports(report: Report, observed: Observed) -> tuple[SerialPortStatus, ...]:
    """Every port of the spec; leftovers of a removed port show only in the condition."""
    desired = {port.name for port in report.target.spec.serial_ports}
    return tuple(
        SerialPortStatus(name=device.name, device_path=device.path, attached=device.in_order, message=device.detail)
        for device in observed.devices
        if device.name in desired
    )


def _lease(found: ObservedLease | None) -> LeaseStatus | None:
    return LeaseStatus(**dataclasses.asdict(found)) if found else None
