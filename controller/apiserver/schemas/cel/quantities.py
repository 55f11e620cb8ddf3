"""Functions of quantities and semantic versions, whose comparisons share names (Kubernetes: quantity, semver)."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal
from typing import Any

from controller.apiserver.schemas.cel.failures import EvaluationError
from controller.apiserver.schemas.cel.meter import Meter
from controller.apiserver.schemas.cel.values import INTEGERS, Quantity, Semver
from controller.quantities import EXACT, MAGNITUDE, parse

_NUMBER = r"(0|[1-9][0-9]{0,18})"
_LABELS = r"((?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_LABELS})?(?:\+[0-9A-Za-z.-]+)?")


def _quantity(meter: Meter, value: Any) -> Quantity:
    if type(value) is not str:
        raise TypeError
    meter.traverse(len(value))
    amount = parse(value)
    if amount is None:
        raise EvaluationError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    # 1e999 is a short text, but exact arithmetic would carry a thousand digits.
    if abs(amount.adjusted()) > MAGNITUDE:
        raise EvaluationError("the quantity is out of range")
    # Kubernetes rounds quantities up to the next nano unit.
    return Quantity(amount.quantize(Decimal("1e-9"), ROUND_CEILING, EXACT) if amount else amount)


def _semver(meter: Meter, value: Any, normalize: bool = False) -> Semver:
    if type(value) is not str:
        raise TypeError
    meter.traverse(len(value))
    text = _normalized(value[:256]) if normalize else value[:256]
    found = _SEMVER.fullmatch(text)
    if not found or len(value) > 256:
        raise EvaluationError(f"{value[:40]} is not a semantic version")
    # Numeric labels sort before others, and by value (semver.org, 11.4); the flag keeps int and str apart.
    labels = tuple((not part.isdigit(), int(part) if part.isdigit() else part) for part in (found[4] or "").split("."))
    return Semver((int(found[1]), int(found[2]), int(found[3])), not found[4], labels if found[4] else ())


def _normalized(text: str) -> str:
    core, sign, rest = re.fullmatch(r"v?([0-9.]*)([+-]?)([\s\S]*)", text.removeprefix("v")).groups()  # type: ignore[union-attr]
    numbers = [number.lstrip("0") or "0" for number in core.split(".")]
    return ".".join(numbers + ["0"] * (3 - len(numbers))) + sign + rest


def _is(convert: Callable[..., Any]) -> Callable[..., bool]:
    def holds(meter: Meter, *given: Any) -> bool:
        try:
            convert(meter, *given)
        except EvaluationError:
            return False
        return True

    return holds


def _compared(decide: Callable[[Any, Any], Any]) -> Callable[[Meter, Any, Any], Any]:
    def compared(meter: Meter, left: Any, right: Any) -> Any:
        del meter
        if type(left) not in (Quantity, Semver) or type(left) is not type(right):
            raise TypeError
        return decide(left, right)

    return compared


def _sum(sign: int) -> Callable[[Meter, Any, Any], Quantity]:
    def total(meter: Meter, left: Any, right: Any) -> Quantity:
        del meter
        if type(left) is not Quantity or type(right) not in (Quantity, int):
            raise TypeError
        return Quantity(EXACT.add(left, Decimal(sign * right)))

    return total


def _of_quantity(read: Callable[[Decimal], Any]) -> Callable[[Meter, Any], Any]:
    def of_quantity(meter: Meter, value: Any) -> Any:
        del meter
        if type(value) is not Quantity:
            raise TypeError
        return read(value)

    return of_quantity


def _is_integer(amount: Decimal) -> bool:
    return amount == amount.to_integral_value() and int(amount) in INTEGERS


def _as_integer(amount: Decimal) -> int:
    if not _is_integer(amount):
        raise EvaluationError("cannot convert value to integer")
    return int(amount)


def _part(place: int) -> Callable[[Meter, Any], int]:
    def part(meter: Meter, value: Any) -> int:
        del meter
        if type(value) is not Semver:
            raise TypeError
        return value.release[place]

    return part


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": _sum(1),
    "asApproximateFloat": _of_quantity(float),
    "asInteger": _of_quantity(_as_integer),
    "compareTo": _compared(lambda left, right: (left > right) - (left < right)),
    "isGreaterThan": _compared(lambda left, right: left > right),
    "isInteger": _of_quantity(_is_integer),
    "isLessThan": _compared(lambda left, right: left < right),
    "isQuantity": _is(_quantity),
    "isSemver": _is(_semver),
    "major": _part(0),
    "minor": _part(1),
    "patch": _part(2),
    "quantity": _quantity,
    "semver": _semver,
    "sign": _of_quantity(lambda amount: (amount > 0) - (amount < 0)),
    "sub": _sum(-1),
}
