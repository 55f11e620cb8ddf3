"""Columns and cells of tables, as ``kubectl get`` prints them (API reference: meta/v1 Table)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from controller.apiserver.kinds.resources import Column, Resource

Object = dict[str, Any]

_TOKEN = re.compile(
    r"""\.([A-Za-z0-9_/\x00-]+)|\['([^']+)'\]|\[(\d{1,9}|\*)\]|\[\?\(@\.([A-Za-z0-9_.]+)\s*==\s*["']([^"']*)["']\)\]"""
)

NAME = Column("Name", ".metadata.name", description="Name of the object")


def columns(resource: Resource) -> list[Object]:
    """The columnDefinitions of a kind."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": "name" if column.name == NAME.name else "",
            "description": column.description or column.name,
            "priority": column.priority,
        }
        for column in _all(resource)
    ]


def cells(resource: Resource, item: Object) -> list[Any]:
    """The cells of one object."""
    values: list[Any] = []
    for column in _all(resource):
        found = [column.cell(item)] if column.cell else read(item, column.json_path)
        value = found[0] if found else None
        if column.type == "date" and isinstance(value, str):
            value = age(value)
        elif column.type == "string" and value is not None and not isinstance(value, str):
            # The server formats what a string column selects, as Kubernetes does; a boolean in Go's spelling.
            value = str(value).lower() if isinstance(value, bool) else str(value)
        values.append(value)
    return values


def _all(resource: Resource) -> tuple[Column, ...]:
    """The name followed by the columns of the kind, unless these include the name."""
    own = resource.columns
    return own if any(column.name == NAME.name for column in own) else (NAME, *own)


def read(item: Any, path: str) -> list[Any]:
    """The values that a simple JSONPath selects."""
    found = [item]
    for name, quoted, index, field, wanted in _tokens(path):
        if name or quoted:
            found = [part[name or quoted] for part in found if isinstance(part, dict) and (name or quoted) in part]
        elif field:
            found = [e for part in found if isinstance(part, list) for e in part if read(e, "." + field) == [wanted]]
        elif index == "*":
            found = [entry for part in found if isinstance(part, list) for entry in part]
        else:
            found = [part[int(index)] for part in found if isinstance(part, list) and len(part) > int(index)]
    return found


@lru_cache(256)
def _tokens(path: str) -> list[tuple[str, ...]]:
    # An escaped dot belongs to the name, as in a label's key; NUL stands in for it while the path is split.
    path = path.replace("\\.", "\x00")
    return [tuple(group.replace("\x00", ".") for group in groups) for groups in _TOKEN.findall(path)]


def age(timestamp: str) -> str:
    """The age of a timestamp as kubectl shows it."""
    if not timestamp:
        return "<unknown>"
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return "<invalid>"
    if then.tzinfo is None:  # a date column may select any text; Kubernetes' timestamps have a time zone
        return "<invalid>"
    # Never negative: the clock may have been set back since the object was created.
    return duration(max(0, int((datetime.now(UTC) - then).total_seconds())))


def duration(seconds: int) -> str:
    """A duration in one or two units, as kubectl formats it (apimachinery: duration.HumanDuration)."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    steps = (
        (120, f"{seconds}s"),
        (600, _pair(minutes, "m", seconds % 60, "s")),
        (3 * 3600, f"{minutes}m"),
        (8 * 3600, _pair(hours, "h", minutes % 60, "m")),
        (48 * 3600, f"{hours}h"),
        (8 * 86400, _pair(days, "d", hours % 24, "h")),
        (2 * 365 * 86400, f"{days}d"),
    )
    return next((text for limit, text in steps if seconds < limit), f"{days // 365}y")


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"
