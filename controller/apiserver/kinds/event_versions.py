"""Events of two API groups: stored as core/v1, converted for clients of events.k8s.io/v1 (API reference: Event)."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

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
