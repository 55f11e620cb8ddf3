"""Converts JSON values to CEL types by their schema: strings to times or bytes, numbers to doubles."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from controller.apiserver.schemas.cel import times
from controller.apiserver.schemas.cel.failures import EvaluationError
from controller.apiserver.schemas.cel.values import Keyed

Schema = dict[str, Any]


def _date(text: str) -> datetime:
    return times.timestamp_of(f"{date.fromisoformat(text)}T00:00:00Z")


_FORMATS: dict[str, Callable[[str], Any]] = {
    "byte": lambda text: base64.b64decode(text, validate=True),
    "date": _date,
    "date-time": times.timestamp_of,
    "duration": times.duration_of,
}


def typed(value: Any, schema: Schema) -> Any:
    """The value with CEL types; only the parts that change are copied.

    Null fields are dropped, because expressions treat them as absent. A string that does not fit its format stays a
    string.
    """
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        parts = {name: typed(part, properties.get(name) or (extra if isinstance(extra, dict) else {}))
                 for name, part in value.items() if part is not None or name not in properties}  # fmt: skip
        # The value itself where nothing differs: most values have no format, and large objects would be copied in vain.
        same = len(parts) == len(value) and all(parts[name] is part for name, part in value.items())
        return value if same else parts
    if isinstance(value, list):
        items = schema.get("items")
        entries = [typed(item, items) for item in value] if isinstance(items, dict) else value
        # Their order has no meaning, so lists that differ only in it are equal to rules.
        if schema.get("x-kubernetes-list-type") in ("set", "map"):
            return Keyed(entries)
        return entries if any(one is not other for one, other in zip(entries, value, strict=True)) else value
    # Stays what it is: rules distinguish the two by type().
    if schema.get("x-kubernetes-int-or-string"):
        return value
    return _scalar(value, schema)


def _scalar(value: Any, schema: Schema) -> Any:
    kind = schema.get("type")
    if isinstance(value, str) and kind == "string" and schema.get("format") in _FORMATS:
        try:
            return _FORMATS[schema["format"]](value)
        # Possible in an unchanged part, whose format is not validated (decision 141).
        except (EvaluationError, ValueError, binascii.Error):
            return value
    # JSON writes 1.0 as 1, but CEL has no arithmetic between int and double.
    if type(value) is int and kind == "number":
        return float(value)
    return int(value) if type(value) is float and kind == "integer" and value.is_integer() else value
