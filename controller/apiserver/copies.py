"""Copies of JSON values, several times faster than copy.deepcopy, which also follows objects that are shared."""

from __future__ import annotations

from typing import Any


def copied(value: Any) -> Any:
    """A copy that shares nothing with a JSON value of bounded size: what the value shares within itself is repeated."""
    if isinstance(value, dict):
        return {name: copied(part) for name, part in value.items()}
    if isinstance(value, list):
        return [copied(part) for part in value]
    return value
