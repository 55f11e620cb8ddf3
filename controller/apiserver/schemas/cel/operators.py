"""The operators of expressions, except those that short-circuit."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from controller.apiserver.schemas.cel.failures import EvaluationError
from controller.apiserver.schemas.cel.meter import Meter
from controller.apiserver.schemas.cel.values import (
    INTEGERS,
    NUMBERS,
    UNSIGNED,
    Keyed,
    Optional,
    Uint,
    before,
    no_overload,
    size_of,
)

_PLAIN = (int, bool, float, type(None))


def equal(meter: Meter, left: Any, right: Any) -> bool:
    """Whether two values are equal. Numbers compare across types; no number equals a boolean. Raises CostError."""
    kind, other = type(left), type(right)
    # The most frequent case first; it costs no more than its operator.
    if kind is other and kind in _PLAIN:
        return bool(left == right)
    # One list without an order suffices: a literal that a rule compares with it has none either.
    if Keyed in (kind, other) and isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(contained(meter, item, right) for item in left)
    if kind is not other:
        meter.charge(1)
        return kind in NUMBERS and other in NUMBERS and bool(left == right)
    if kind is Optional:
        left, right, kind = left.found, right.found, tuple
    if kind in (list, tuple, dict):
        return len(left) == len(right) and _parts_equal(meter, left, right)
    # Python compares at most the shorter one.
    meter.traverse(min(size_of(left), size_of(right)))
    return bool(left == right)


def _parts_equal(meter: Meter, left: Any, right: Any) -> bool:
    for place, part in left.items() if type(left) is dict else enumerate(left):
        if type(left) is dict and place not in right:
            return False
        meter.charge(1)
        if not equal(meter, part, right[place]):
            return False
    return True


def contained(meter: Meter, item: Any, within: Any) -> bool:
    """``item in within``. Raises CostError, EvaluationError."""
    if type(within) is dict:
        meter.charge(1)
        return (type(item) is str or type(item) in NUMBERS) and item in within
    if not isinstance(within, list):
        raise no_overload("@in", item, within)
    if type(item) is str:  # list.__contains__ is fast, and correct here: only a str equals a str
        meter.charge(1 + len(within))
        return item in within
    for each in within:
        meter.charge(1)
        if equal(meter, item, each):
            return True
    return False


def _add(meter: Meter, left: Any, right: Any) -> Any:
    match left, right:
        case (str(), str()) | (bytes(), bytes()):
            meter.traverse(len(left) + len(right))
            return left + right
        case list(), list():
            meter.charge(1 + len(left) + len(right))
            return _union(meter, left, right) if type(left) is Keyed else left + right
        case (datetime(), timedelta()) | (timedelta(), datetime()) | (timedelta(), timedelta()):
            return _in_time(lambda: left + right)
    return _arithmetic("+", lambda: left + right, left, right)


def _union(meter: Meter, left: list[Any], right: list[Any]) -> Keyed:
    return Keyed([*left, *(item for item in right if not contained(meter, item, left))])


def _subtract(meter: Meter, left: Any, right: Any) -> Any:
    del meter
    match left, right:
        case (datetime(), timedelta()) | (datetime(), datetime()) | (timedelta(), timedelta()):
            return _in_time(lambda: left - right)
    return _arithmetic("-", lambda: left - right, left, right)


def _in_time(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except OverflowError as error:
        raise EvaluationError("timestamp overflow") from error


def _arithmetic(sign: str, compute: Callable[[], Any], left: Any, right: Any) -> Any:
    """A number of the operands' common type. Raises EvaluationError."""
    if type(left) is not type(right) or type(left) not in NUMBERS:
        raise no_overload(f"_{sign}_", left, right)
    return checked(compute(), type(left))


def checked(value: Any, kind: type) -> Any:
    """The value as a number of this type. Raises EvaluationError on overflow."""
    if kind is float:
        return value
    if value not in (UNSIGNED if kind is Uint else INTEGERS):
        raise EvaluationError("unsigned integer overflow" if kind is Uint else "integer overflow")
    return kind(value)


def _divide(meter: Meter, left: Any, right: Any) -> Any:
    del meter
    if type(left) is float and type(right) is float:
        if right:
            return left / right
        return math.nan if not left or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)
    return _arithmetic("/", lambda: _quotient("division", left, right), left, right)


def _remainder(meter: Meter, left: Any, right: Any) -> Any:
    del meter
    if type(left) is float:
        # Python has a remainder of floats; CEL has none.
        raise no_overload("_%_", left, right)
    # Not %: in Go the remainder has the sign of the dividend.
    return _arithmetic("%", lambda: left - right * _quotient("modulus", left, right), left, right)


def _quotient(what: str, left: int, right: int) -> int:
    """Integer division that truncates towards zero. Raises EvaluationError."""
    if not right:
        raise EvaluationError(f"{what} by zero")
    # Not int(left / right): a double is exact only up to 2**53.
    return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)


def _multiply(meter: Meter, left: Any, right: Any) -> Any:
    del meter
    return _arithmetic("*", lambda: left * right, left, right)


def _compared(decide: Callable[[Any, Any], Any]) -> Callable[[Meter, Any, Any], bool]:
    def compared(meter: Meter, left: Any, right: Any) -> bool:
        # Integers are compared most and have no length; the operator itself is charged by its caller.
        if type(left) is not int:
            meter.traverse(min(size_of(left), size_of(right)))
        return bool(decide(left, right))

    return compared


def _negate(meter: Meter, value: Any) -> Any:
    del meter
    if type(value) not in (int, float):
        raise no_overload("-_", value)
    return checked(-value, type(value))


def _not(meter: Meter, value: Any) -> bool:
    del meter
    if type(value) is not bool:
        raise no_overload("!_", value)
    return not value


def _neither_is_nan(left: Any, right: Any) -> bool:
    """Whether neither operand is NaN. Raises EvaluationError."""
    # Only for its error: values that cannot be ordered have no <= either.
    before(left, right)
    return bool(left == left and right == right)  # noqa: PLR0124 - NaN does not equal itself


OPERATORS: dict[str, Callable[..., Any]] = {
    "==": equal,
    "!=": lambda meter, left, right: not equal(meter, left, right),
    "in": contained,
    "<": _compared(before),
    ">": _compared(lambda left, right: before(right, left)),
    # Not a plain "not >": with NaN every comparison is false.
    "<=": _compared(lambda left, right: _neither_is_nan(left, right) and not before(right, left)),
    ">=": _compared(lambda left, right: _neither_is_nan(left, right) and not before(left, right)),
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _remainder,
    "-_": _negate,
    "!_": _not,
}
