"""Functions on lists (Kubernetes: lists; cel-go: ext/lists, ext/sets) and on optional values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.apiserver.schemas.cel import folds
from controller.apiserver.schemas.cel.failures import EvaluationError
from controller.apiserver.schemas.cel.meter import Meter
from controller.apiserver.schemas.cel.operators import OPERATORS, contained, equal
from controller.apiserver.schemas.cel.values import Optional, before, size_of


def _require_lists(*values: Any) -> None:
    """Raises TypeError unless all values are lists."""
    for value in values:
        if not isinstance(value, list):
            raise TypeError


def _size(meter: Meter, value: Any) -> int:
    del meter
    if not isinstance(value, (str, bytes, list, dict)):
        raise TypeError
    return len(value)


def index_of(meter: Meter, items: list[Any], wanted: Any) -> int:
    """The index of the first equal item, -1 when there is none."""
    for place, item in enumerate(items):
        meter.charge(1)
        if equal(meter, item, wanted):
            return place
    return -1


def _is_sorted(meter: Meter, items: list[Any]) -> bool:
    _require_lists(items)
    for place in range(len(items) - 1):
        meter.charge(1 + size_of(items[place]) // 10)
        if before(items[place + 1], items[place]):
            return False
    return True


def _sum(meter: Meter, items: list[Any]) -> Any:
    _require_lists(items)
    total = items[0] if items else 0
    for item in items[1:]:
        meter.charge(1)
        total = OPERATORS["+"](meter, total, item)
    return total


def _extreme(precedes: Callable[[Any, Any], bool], name: str) -> Callable[[Meter, list[Any]], Any]:
    def extreme(meter: Meter, items: list[Any]) -> Any:
        _require_lists(items)
        if not items:
            raise EvaluationError(f"{name} called on empty list")
        best = items[0]
        for item in items[1:]:
            meter.charge(1 + size_of(item) // 10)
            best = item if precedes(item, best) else best
        return best

    return extreme


def _range(meter: Meter, count: int) -> list[int]:
    # Before the list exists: range(10 ** 18) would end the process.
    meter.charge(max(count, 0))
    return list(range(count))


def _slice(meter: Meter, items: list[Any], begin: int, end: int) -> list[Any]:
    _require_lists(items)
    if not 0 <= begin <= end <= len(items):
        raise EvaluationError(f"cannot slice({begin}, {end}), list is length {len(items)}")
    meter.charge(end - begin)
    return items[begin:end]


def _flatten(meter: Meter, items: list[Any], depth: int = 1) -> list[Any]:
    _require_lists(items)
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    found: list[Any] = []
    for item in items:
        meter.charge(1)
        found += _flatten(meter, item, depth - 1) if isinstance(item, list) and depth else [item]
    return found


def _distinct(meter: Meter, items: list[Any]) -> list[Any]:
    _require_lists(items)
    found: list[Any] = []
    for item in items:
        if not contained(meter, item, found):
            found.append(item)
    return found


def _sort(meter: Meter, items: list[Any]) -> list[Any]:
    _require_lists(items)
    return folds.ordered(meter, items, lambda item: item)


def _contains(meter: Meter, items: list[Any], others: list[Any]) -> bool:
    _require_lists(items, others)
    return all(contained(meter, other, items) for other in others)


def _intersects(meter: Meter, items: list[Any], others: list[Any]) -> bool:
    _require_lists(items, others)
    return any(contained(meter, other, items) for other in others)


def _equivalent(meter: Meter, items: list[Any], others: list[Any]) -> bool:
    return _contains(meter, items, others) and _contains(meter, others, items)


def _require_optional(value: Any) -> Optional:
    """Raises TypeError unless it is an optional value."""
    if type(value) is not Optional:
        raise TypeError
    return value


def _value(meter: Meter, value: Any) -> Any:
    del meter
    if not _require_optional(value).found:
        raise EvaluationError("optional.none() dereference")
    return value.found[0]


def _first_or_last(place: int) -> Callable[[Meter, list[Any]], Optional]:
    def end(meter: Meter, items: list[Any]) -> Optional:
        del meter
        _require_lists(items)
        return Optional((items[place],)) if items else Optional()

    return end


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "distinct": _distinct,
    "first": _first_or_last(0),
    "flatten": _flatten,
    "hasValue": lambda _, value: bool(_require_optional(value).found),
    "isSorted": _is_sorted,
    "last": _first_or_last(-1),
    "lists.range": _range,
    "max": _extreme(lambda one, other: before(other, one), "max"),
    "min": _extreme(before, "min"),
    "optional.none": lambda _: Optional(),
    "optional.of": lambda _, value: Optional((value,)),
    "optional.ofNonZeroValue": lambda _, value: Optional((value,)) if value else Optional(),
    "or": lambda _, value, other: value if _require_optional(value).found else _require_optional(other),
    "orValue": lambda _, value, other: value.found[0] if _require_optional(value).found else other,
    "sets.contains": _contains,
    "sets.equivalent": _equivalent,
    "sets.intersects": _intersects,
    "size": _size,
    "slice": _slice,
    "sort": _sort,
    "sum": _sum,
    "value": _value,
}
