"""Finds the old value of a part in an update, so that only changed parts are validated (KEP-4008). Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from controller.apiserver.equality import identical

Schema = dict[str, Any]

# The part has no old value, or none that can be matched to it. Not None: null is a value that a field may have had.
ABSENT: Final = object()


def is_unchanged(value: Any, old: Any) -> bool:
    """Whether value and type are the same."""
    # Not ==: in Python 1 equals true, and a change of the type would go unvalidated.
    return old is not ABSENT and identical(value, old)


def member(old: Any, name: str) -> Any:
    """The old value of a field."""
    return old.get(name, ABSENT) if isinstance(old, dict) else ABSENT


def entries(old: Any, schema: Schema) -> Callable[[Any], Any]:
    """A function that finds the old item with the same map keys as a new one.

    Items of lists without map keys cannot be matched: it always returns ABSENT for them.
    """
    keys = schema.get("x-kubernetes-list-map-keys")
    # Not by position: one insertion would pair every later item with another one.
    if not keys or not isinstance(old, list):
        return lambda _: ABSENT

    def named(item: Any) -> str:
        # default=repr: with types of CEL, a key may be a datetime.
        return json.dumps([item.get(key) for key in keys], sort_keys=True, default=repr)

    # The first of several items with the same keys wins. An index, because a search per item takes quadratic time.
    found = {named(item): item for item in reversed(old) if isinstance(item, dict)}
    return lambda new: found.get(named(new), ABSENT) if isinstance(new, dict) else ABSENT
