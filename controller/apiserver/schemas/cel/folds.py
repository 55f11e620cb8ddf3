"""Macros over lists, maps and optional values: each item in turn is bound to the variables of the macro."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from controller.apiserver.schemas.cel.failures import EvaluationError
from controller.apiserver.schemas.cel.meter import Meter
from controller.apiserver.schemas.cel.values import NUMBERS, Optional, before, no_overload

Program = Callable[[Meter], Any]
_COMPREHENSION = "comprehension"  # in the place of an operator in errors
Items = Iterator[tuple[Any, Any]]  # with a single variable, the first is bound to it


def program(macro: str, source: Program, variables: tuple[str, ...], parts: tuple[Program, ...]) -> Program:
    """A program that evaluates a macro. The program raises EvaluationError, CostError."""
    if macro in ("optMap", "optFlatMap"):
        return lambda meter: _of_optional(macro, meter, source(meter), variables[0], parts[0])
    fold = _FOLDS[macro]

    def run(meter: Meter) -> Any:
        value = source(meter)
        # A nested macro may use the name of an outer variable, or of ``self``.
        with_hidden = {name: meter.variables[name] for name in variables if name in meter.variables}
        try:
            return fold(meter, _items(meter, value, variables), parts)
        finally:
            # Also after an error: ``||`` absorbs it and goes on with the outer variables.
            for name in variables:
                meter.variables.pop(name, None)
            meter.variables.update(with_hidden)

    return run


def _items(meter: Meter, value: Any, variables: tuple[str, ...]) -> Items:
    """Bind each item to the variables and yield it.

    They are bound again for every item, because nested macros may use the same names.
    """
    if not isinstance(value, (list, dict)):
        raise no_overload(_COMPREHENSION, value)
    known = meter.variables
    if len(variables) == 1:
        for item in value:
            # For the iteration itself: a part that costs nothing, such as a literal, must not make a long loop free.
            meter.charge(1)
            known[variables[0]] = item
            yield item, None
        return
    for place, item in value.items() if type(value) is dict else enumerate(value):
        meter.charge(1)
        known[variables[0]], known[variables[1]] = place, item
        yield place, item


def any_decides(meter: Meter, parts: Iterable[Program], operator: str, *, deciding: bool) -> bool:
    """Whether one of the parts is ``deciding``. Raises the first error only when no part decides."""
    fault: EvaluationError | None = None
    for part in parts:
        try:
            value = part(meter)
        # CEL's || and && are commutative: an error counts only if no other part decides. CostError is none of them.
        except EvaluationError as error:
            fault = fault or error
            continue
        if value is deciding:
            return True
        if type(value) is not bool:
            fault = fault or no_overload(operator, value)
    if fault:
        raise fault
    return False


def _all(meter: Meter, items: Items, parts: tuple[Program, ...]) -> bool:
    return not any_decides(meter, (parts[0] for _ in items), _COMPREHENSION, deciding=False)


def _exists(meter: Meter, items: Items, parts: tuple[Program, ...]) -> bool:
    return any_decides(meter, (parts[0] for _ in items), _COMPREHENSION, deciding=True)


def _exists_one(meter: Meter, items: Items, parts: tuple[Program, ...]) -> bool:
    # Unlike exists, it does not stop early and absorbs no errors (language definition: Macros).
    return sum(_true(parts[0](meter)) for _ in items) == 1


def _true(value: Any) -> bool:
    if type(value) is not bool:
        raise no_overload(_COMPREHENSION, value)
    return value


def _filter(meter: Meter, items: Items, parts: tuple[Program, ...]) -> list[Any]:
    return [item for item, _ in items if _true(parts[0](meter))]


def _map(meter: Meter, items: Items, parts: tuple[Program, ...]) -> list[Any]:
    return [parts[-1](meter) for _ in items if len(parts) == 1 or _true(parts[0](meter))]


def _transform_map(meter: Meter, items: Items, parts: tuple[Program, ...]) -> dict[Any, Any]:
    return {place: parts[-1](meter) for place, _ in items if len(parts) == 1 or _true(parts[0](meter))}


def _transform_entries(meter: Meter, items: Items, parts: tuple[Program, ...]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for _ in items:
        if len(parts) == 1 or _true(parts[0](meter)):
            made = parts[-1](meter)
            if type(made) is not dict:
                raise no_overload("transformMapEntry", made)
            for name, value in made.items():
                put(found, name, value)
    return found


def _sort_by(meter: Meter, items: Items, parts: tuple[Program, ...]) -> list[Any]:
    pairs = [(parts[0](meter), item) for item, _ in items]
    return [item for _, item in ordered(meter, pairs, lambda pair: pair[0])]


def ordered(meter: Meter, items: list[Any], key: Callable[[Any], Any]) -> list[Any]:
    """The items sorted by their keys. Raises EvaluationError, CostError."""

    def compare(left: Any, right: Any) -> int:
        # Per comparison: a sort compares more often than it has items.
        meter.charge(1)
        # Both directions: equal keys must compare as equal, so that the sort keeps their order.
        return before(key(right), key(left)) - before(key(left), key(right))

    return sorted(items, key=functools.cmp_to_key(compare))


_FOLDS: dict[str, Callable[[Meter, Items, tuple[Program, ...]], Any]] = {
    "all": _all, "exists": _exists, "exists_one": _exists_one, "existsOne": _exists_one, "filter": _filter,
    "map": _map, "transformList": _map, "transformMap": _transform_map, "transformMapEntry": _transform_entries,
    "sortBy": _sort_by,
}  # fmt: skip


def _of_optional(macro: str, meter: Meter, value: Any, variable: str, part: Program) -> Optional:
    if type(value) is not Optional:
        raise no_overload(macro, value)
    if not value.found:
        return value
    # As a list of one item, so that binding and restoring the variable exists only once.
    run = program("map", lambda _: [value.found[0]], (variable,), (part,))
    (made,) = run(meter)
    return made if macro == "optFlatMap" else Optional((made,))


def look_up(meter: Meter, value: Any, key: Any) -> Optional:
    """``value[?key]``, also for an optional value. Raises EvaluationError, CostError."""
    meter.charge(1)
    if type(value) is Optional:
        return look_up(meter, value.found[0], key) if value.found else value
    # By exact type: a bool would find the entry of 1.
    if type(value) is dict and (type(key) is str or type(key) in NUMBERS):
        return Optional((value[key],)) if key in value else Optional()
    # A double is accepted if it is whole, as CEL compares numbers across types.
    if isinstance(value, list) and type(key) in NUMBERS:
        return Optional((value[int(key)],)) if 0 <= key < len(value) and key == int(key) else Optional()
    raise no_overload("_[_]", value, key)


def unpacked(value: Any) -> tuple[Any, ...]:
    """The values that an optional item or entry adds: one or none. Raises EvaluationError."""
    if type(value) is not Optional:
        raise no_overload("optional", value)
    return value.found


def put(into: dict[Any, Any], name: Any, value: Any) -> None:
    """Add an entry. Raises EvaluationError when the key exists."""
    if name in into:
        raise EvaluationError(f"Failed with repeated key: {name}")
    into[name] = value
