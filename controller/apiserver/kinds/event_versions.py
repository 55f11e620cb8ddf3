"""Events in two groups: stored as core/v1, shown as events.k8s.io/v1 to who asks there (API reference: Event)."""

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


def stored(item: Object, _: Object | None) -> Object:
    """An event of events.k8s.io/v1 as core/v1."""
    return {NAMES.get(name, name): value for name, value in item.items()} | {"apiVersion": "v1"}


def shown(item: Object) -> Object:
    """An event of core/v1 as events.k8s.io/v1."""
    return {BACK.get(name, name): value for name, value in item.items()} | {"apiVersion": "events.k8s.io/v1"}
