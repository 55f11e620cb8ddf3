"""Equality of JSON values."""

from __future__ import annotations

import json
from typing import Any


def identical(one: Any, other: Any) -> bool:
    """Whether value and type are the same: in Python ``True == 1``, in JSON it is not."""
    if not isinstance(one, (dict, list)):
        # No JSON text for scalars: comparing every field of an object as text made writes a third slower.
        return type(one) is type(other) and bool(one == other)
    # The cheap comparison settles what differs; only the text tells a nested 1 from true.
    return bool(one == other) and _text(one) == _text(other)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)  # typed values of CEL contain datetimes
