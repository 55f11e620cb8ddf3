"""Copies of JSON values, several times faster than copy.deepcopy, which also follows objects that are shared."""

from __future__ import annotations

from typing import Any


def copied(value: Any) -> Any:
    """A copy that shares no list or object with a JSON value of bounded size: what it shares within is repeated."""
    if isinstance(value, dict):
        return {name: copied(part) for name, part in value.items()}
    return [copied(part) for part in value] if isinstance(value, list) else value
