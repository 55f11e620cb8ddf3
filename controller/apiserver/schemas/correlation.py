"""What a part of a value was before an update, so that only what changes is validated (KEP-4008). Pure."""

from __future__ import annotations

import json
from typing import Any, Final

Schema = dict[str, Any]

NOTHING: Final = object()  # there was no such part, or none that could be told to be the same


def is_unchanged(value: Any, old: Any) -> bool:
    """Whether it is the same in type too: True is no 1."""
    return (
        old is not NOTHING
        and bool(value == old)
        and json.dumps(value, sort_keys=True) == json.dumps(old, sort_keys=True)
    )


def member(old: Any, name: str) -> Any:
    """The field of that name."""
    return old.get(name, NOTHING) if isinstance(old, dict) else NOTHING


def entry(old: Any, new: Any, schema: Schema) -> Any:
    """The item of a list with the keys of the new one; other lists have no items that could be compared."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys or not isinstance(old, list) or not isinstance(new, dict):
        return NOTHING
    wanted = [new.get(key) for key in keys]
    return next((one for one in old if isinstance(one, dict) and [one.get(key) for key in keys] == wanted), NOTHING)
