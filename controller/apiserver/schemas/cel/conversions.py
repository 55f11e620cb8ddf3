"""Conversions between types (language definition: Standard Definitions)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from controller.apiserver.schemas.cel.failures import EvaluationError
from controller.apiserver.schemas.cel.meter import Meter
from controller.apiserver.schemas.cel.operators import checked
from controller.apiserver.schemas.cel.values import Uint, size_of, text_of, type_of

# Bounded, because int() takes quadratic time; 20 digits hold every 64-bit number.
_DIGITS = re.compile(r"[+-]?[0-9]{1,20}")
_DOUBLE = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?|[+-]?Inf(?:inity)?|NaN", re.IGNORECASE)
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def _integer(kind: type[int]) -> Callable[[Meter, Any], int]:
    def integer(meter: Meter, value: Any) -> Any:
        meter.traverse(size_of(value))
        if type(value) is str:
            if not _DIGITS.fullmatch(value):
                raise EvaluationError(f"cannot convert '{value[:40]}' to {'uint' if kind is Uint else 'int'}")
            return checked(int(value), kind)
        if type(value) is float:
            if math.isnan(value) or math.isinf(value):
                raise EvaluationError("integer overflow")
            return checked(int(value), kind)
        if type(value) is datetime:
            return int((value - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
        if type(value) not in (int, Uint):
            raise TypeError
        return checked(int(value), kind)

    return integer


def _double(meter: Meter, value: Any) -> float:
    meter.traverse(size_of(value))
    if type(value) is str:
        if len(value) > 400 or not _DOUBLE.fullmatch(value):
            raise EvaluationError(f"cannot convert '{value[:40]}' to double")
        return float(value)
    if type(value) not in (int, Uint, float):
        raise TypeError
    return float(value)


def _string(meter: Meter, value: Any) -> str:
    meter.traverse(size_of(value))
    return text_of(value)


def _bytes(meter: Meter, value: Any) -> bytes:
    meter.traverse(size_of(value))
    if type(value) is str:
        return value.encode(errors="surrogatepass")
    if type(value) is not bytes:
        raise TypeError
    return value


def _bool(meter: Meter, value: Any) -> bool:
    del meter
    if type(value) is str:
        if value not in _BOOLEANS:
            raise EvaluationError(f"cannot convert '{value[:40]}' to bool")
        return _BOOLEANS[value]
    if type(value) is not bool:
        raise TypeError
    return value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "bool": _bool,
    "bytes": _bytes,
    "double": _double,
    "dyn": lambda _, value: value,
    "int": _integer(int),
    "string": _string,
    "type": lambda _, value: type_of(value),
    "uint": _integer(Uint),
}
