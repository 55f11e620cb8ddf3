"""Compiles syntax trees into closures that count their cost (language definition: Evaluation)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from controller.apiserver.schemas.cel import (
    addresses,
    conversions,
    folds,
    formats,
    lists,
    meter,
    quantities,
    texts,
    times,
)
from controller.apiserver.schemas.cel.failures import CostError, EvaluationError, ExpressionError
from controller.apiserver.schemas.cel.meter import Meter
from controller.apiserver.schemas.cel.names import unescaped
from controller.apiserver.schemas.cel.operators import OPERATORS
from controller.apiserver.schemas.cel.parser import parsed
from controller.apiserver.schemas.cel.syntax import (
    Call,
    Choice,
    Fold,
    Index,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Name,
    Node,
    Select,
)
from controller.apiserver.schemas.cel.values import NUMBERS, TYPES, Optional, no_overload

Program = Callable[[Meter], Any]
SHORT = 512  # most expressions have at most that many characters
_LITERALS = {"duration": 0, "timestamp": 0, "matches": 1, "find": 1, "findAll": 1}  # index of the checked argument
SHORT_TYPES = ("bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint")


def compiled(text: str) -> Program:
    """The program of an expression, cached. Raises ExpressionError; the program raises EvaluationError, CostError."""
    return _compile_short(text) if len(text) <= SHORT else _compile_long(text)


def _compile(text: str) -> Program:
    return _program(parsed(text))


# Two caches bound the memory: a program takes about 50 bytes per character of its expression.
_compile_short, _compile_long = lru_cache(512)(_compile), lru_cache(24)(_compile)


def _program(node: Node) -> Program:
    return _MAKERS[type(node)](node)


def _literal(node: Literal) -> Program:
    value = node.value
    return lambda _: value


def _name(node: Name) -> Program:
    name = node.name

    def run(meter: Meter) -> Any:
        meter.left -= 1  # not checked here: every loop contains a call, which checks
        try:
            return meter.variables[name]
        except KeyError:
            if name in TYPES and (name in SHORT_TYPES):
                return TYPES[name]
            raise EvaluationError(f"no such attribute(s): {name}") from None

    return run


def _select(node: Select) -> Program:
    operand, name, field = _program(node.operand), node.field, unescaped(node.field)
    if node.optional:
        return lambda meter: _look_up(meter, operand(meter), name)
    if node.tested:
        return lambda meter: bool(_look_up(meter, operand(meter), name).found)

    def run(meter: Meter) -> Any:
        value = operand(meter)
        meter.left -= 1
        if type(value) is dict:
            # The name as written first: a map may contain a key that looks escaped.
            if name in value:
                return value[name]
            if field in value:
                return value[field]
            raise EvaluationError(f"no such key: {name}")
        if type(value) is Optional:
            return _look_up(meter, value, name)
        raise no_overload(f"select .{name}", value)

    return run


def _look_up(meter: Meter, value: Any, name: str) -> Optional:
    """A field by the name in the expression, or by its unescaped name."""
    found = folds.look_up(meter, value, name)
    return found if found.found or unescaped(name) == name else folds.look_up(meter, value, unescaped(name))


def _index(node: Index) -> Program:
    operand, key = _program(node.operand), _program(node.key)
    if node.optional:
        return lambda meter: folds.look_up(meter, operand(meter), key(meter))

    def run(meter: Meter) -> Any:
        value, wanted = operand(meter), key(meter)
        meter.charge(1)
        if type(value) is Optional:
            return folds.look_up(meter, value, wanted)
        found = folds.look_up(meter, Optional((value,)), wanted)
        if not found.found:
            raise EvaluationError(f"no such key: {wanted}" if type(value) is dict else f"index out of bounds: {wanted}")
        return found.found[0]

    return run


def _call(node: Call) -> Program:
    _check_literal(node)
    arguments = tuple(map(_program, node.arguments))
    if node.function in OPERATORS:
        return _operation(OPERATORS[node.function], arguments)
    function = FUNCTIONS.get(node.function)
    if function is None:
        raise ExpressionError(f"undeclared reference to '{node.function}'")

    def run(meter: Meter) -> Any:
        meter.charge(1)
        # Outside of the try: an error within an argument must not look like a wrong type of this call.
        given = [argument(meter) for argument in arguments]
        try:
            return function(meter, *given)
        # Both are ValueErrors: without this clause they would become "out of range" below.
        except (EvaluationError, CostError):
            raise
        except (TypeError, AttributeError, LookupError) as error:  # wrong types or number of arguments
            raise no_overload(node.function, *given) from error
        # OSError: datetime.fromtimestamp() raises it where gmtime() of the C library fails.
        except (ValueError, ArithmeticError, OSError) as error:
            raise EvaluationError(f"{node.function}: out of range") from error

    return run


def _check_literal(node: Call) -> None:
    """Raises ExpressionError for a literal pattern, timestamp or duration that is invalid."""
    place = _LITERALS.get(node.function, len(node.arguments))
    literal = node.arguments[place] if place < len(node.arguments) else None
    if isinstance(literal, Literal) and type(literal.value) is str:
        try:
            # The function itself checks its literal, so that definition and evaluation cannot disagree.
            FUNCTIONS[node.function](Meter(1 << 20, {}), *[""] * place, literal.value)
        except EvaluationError as error:
            raise ExpressionError(f"invalid {node.function} argument: {error}") from error


def _operation(operator: Callable[..., Any], operands: tuple[Program, ...]) -> Program:
    # The usual case without a loop: comparisons run once for each item of a list.
    if len(operands) == 2:
        left, right = operands

        def run(meter: Meter) -> Any:
            meter.charge(1)
            return operator(meter, left(meter), right(meter))

        return run

    def run_row(meter: Meter) -> Any:
        # A chain such as a + b + c is one node, so a long one is not nested, but pays for each operator.
        meter.charge(len(operands))
        value = operands[0](meter)
        if len(operands) == 1:
            return operator(meter, value)
        for operand in operands[1:]:
            value = operator(meter, value, operand(meter))
        return value

    return run_row


def _logic(node: Logic) -> Program:
    parts, deciding = tuple(map(_program, node.parts)), node.either

    operator = "||" if deciding else "&&"

    def run(meter: Meter) -> bool:
        return folds.any_decides(meter, parts, operator, deciding=deciding) is deciding

    return run


def _choice(node: Choice) -> Program:
    condition, then, other = map(_program, (node.condition, node.then, node.other))

    def run(meter: Meter) -> Any:
        decided = condition(meter)
        if type(decided) is not bool:
            raise no_overload("_?_:_", decided)
        return then(meter) if decided else other(meter)

    return run


def _list(node: ListOf) -> Program:
    items = tuple((_program(item), optional) for item, optional in node.items)

    def run(scope: Meter) -> list[Any]:
        scope.charge(meter.LIST + len(items))
        found: list[Any] = []
        for item, optional in items:
            value = item(scope)
            found += folds.unpacked(value) if optional else (value,)
        return found

    return run


def _map(node: MapOf) -> Program:
    entries = tuple((_program(key), _program(value), optional) for key, value, optional in node.entries)

    def run(scope: Meter) -> dict[Any, Any]:
        scope.charge(meter.MAP + len(entries))
        found: dict[Any, Any] = {}
        for key, value, optional in entries:
            name, part = key(scope), value(scope)
            if type(name) not in (*NUMBERS, str, bool):
                raise EvaluationError("unsupported key type")
            for each in folds.unpacked(part) if optional else (part,):
                found[name] = each
        return found

    return run


def _fold(node: Fold) -> Program:
    return folds.program(node.macro, _program(node.source), node.variables, tuple(map(_program, node.parts)))


_MAKERS: dict[type, Callable[[Any], Program]] = {
    Literal: _literal, Name: _name, Select: _select, Index: _index, Call: _call, Logic: _logic, Choice: _choice,
    ListOf: _list, MapOf: _map, Fold: _fold,
}  # fmt: skip

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **conversions.FUNCTIONS,
    **times.FUNCTIONS,
    **texts.FUNCTIONS,
    **lists.FUNCTIONS,
    **addresses.FUNCTIONS,
    **quantities.FUNCTIONS,
    **formats.FUNCTIONS,
}
