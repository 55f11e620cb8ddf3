"""What a part of a value was before an update, so that only what changes is validated (KEP-4008). Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

Schema = dict[str, Any]

NOTHING: Final = object()  # there was no such part, or none that could be told to be the same


def is_unchanged(value: Any, old: Any) -> bool:
    """Whether it is the same in type too: True is no 1."""
    return old is not NOTHING and bool(value == old) and _written(value) == _written(old)


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)  # rules see times as times


def member(old: Any, name: str) -> Any:
    """The field of that name."""
    return old.get(name, NOTHING) if isinstance(old, dict) else NOTHING


def entries(old: Any, schema: Schema) -> Callable[[Any], Any]:
    """What gives the item of a list with the keys of a new one; other lists have no items that could be compared."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys or not isinstance(old, list):
        return lambda _: NOTHING

    def named(item: Any) -> str:
        return _written([item.get(key) for key in keys])

    # Of several with the same keys the first counts. An index: a search for each would take the square of the time.
    found = {named(item): item for item in reversed(old) if isinstance(item, dict)}
    return lambda new: found.get(named(new), NOTHING) if isinstance(new, dict) else NOTHING
