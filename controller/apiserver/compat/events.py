"""Events of two API groups: stored as core/v1, converted for clients of events.k8s.io/v1 (API reference: Event)."""

from __future__ import annotations

from typing import Any

from controller.apiserver.kinds import core_columns, core_rules
from controller.apiserver.kinds.core import EVENTS, INVOLVED_OBJECT_FIELDS
from controller.apiserver.kinds.resources import Resource, Selectable
from controller.apiserver.schemas.causes import Cause, invalid, required

Object = dict[str, Any]

EVENT_TYPES = ("Normal", "Warning")
FIXED = ("involvedObject", "reason", "message", "type", "eventTime", "action", "reportingComponent")
FIELDS = (
    *(Selectable(name.replace("involvedObject", "regarding"), (name,)) for name in INVOLVED_OBJECT_FIELDS),
    *(Selectable(name) for name in ("reason", "type")),
    Selectable("reportingController", ("reportingComponent",)),
)

NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
BACK = {core: ours for ours, core in NAMES.items()}


def to_core(item: Object, _: Object | None) -> Object:
    """Convert an event from events.k8s.io/v1 to core/v1."""
    return {NAMES.get(name, name): value for name, value in item.items()} | {"apiVersion": "v1"}


def from_core(item: Object) -> Object:
    """Convert an event from core/v1 to events.k8s.io/v1."""
    return {BACK.get(name, name): value for name, value in item.items()} | {"apiVersion": "events.k8s.io/v1"}


def faults(item: Object) -> list[Cause]:
    """Faults of an events.k8s.io/v1 event in its stored form."""
    causes = core_rules.event(item) if item.get("eventTime") else [required("eventTime")]
    if item.get("type") not in EVENT_TYPES:
        causes.append(invalid("type", "", f"has invalid value: {item.get('type', '')}"))
    if (series := item.get("series")) is not None and (series.get("count") or 0) < 2:
        causes.append(invalid("series.count", "", "should be at least 2"))
    return causes


def change_faults(item: Object, old: Object) -> list[Cause]:
    """Faults of a change to an events.k8s.io/v1 event."""
    fields = [field for field in FIXED if (item.get(field) or None) != (old.get(field) or None)]
    return [invalid(field, item.get(field), "field is immutable") for field in fields]


RESOURCE = Resource(
    "events.k8s.io", "v1", "events", "Event", True, "event", ("ev",), columns=core_columns.EVENTS, storage=EVENTS.key,
    selectable=FIELDS, creates_on_update=True, prepare=to_core,
    check=faults, check_change=change_faults, present=from_core,
    requires_qualified_finalizers=True,
)  # fmt: skip
