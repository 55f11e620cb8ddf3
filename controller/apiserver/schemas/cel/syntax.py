"""The syntax tree of an expression."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Literal(NamedTuple):
    """A literal value."""

    value: Any


class Name(NamedTuple):
    """A variable, or a type."""

    name: str


class Select(NamedTuple):
    """``a.b``, ``a.?b``, or ``has(a.b)``."""

    operand: Node
    field: str
    optional: bool = False
    tested: bool = False


class Index(NamedTuple):
    """``a[b]`` or ``a[?b]``."""

    operand: Node
    key: Node
    optional: bool = False


class Call(NamedTuple):
    """A call of a function, of a method (its target is the first argument) or of an operator (named by its sign)."""

    function: str
    arguments: tuple[Node, ...]
    method: bool = False


class Logic(NamedTuple):
    """``a && b && ...``, or the same with ``||`` when ``either`` holds."""

    either: bool
    parts: tuple[Node, ...]


class Choice(NamedTuple):
    """``a ? b : c``."""

    condition: Node
    then: Node
    other: Node


class ListOf(NamedTuple):
    """``[a, ?b]``; the flags say which items are optional."""

    items: tuple[tuple[Node, bool], ...]


class MapOf(NamedTuple):
    """``{a: b, ?c: d}``."""

    entries: tuple[tuple[Node, Node, bool], ...]


class Fold(NamedTuple):
    """A macro that evaluates its parts for each item: ``source.all(x, part)``."""

    macro: str
    source: Node
    variables: tuple[str, ...]
    parts: tuple[Node, ...]


Node = Literal | Name | Select | Index | Call | Logic | Choice | ListOf | MapOf | Fold


def inner(node: Node) -> tuple[Node, ...]:
    """The child nodes of a node."""
    return tuple(_INNER.get(type(node), lambda _: ())(node))


_INNER: dict[type, Callable[[Any], Iterable[Node]]] = {
    Select: lambda node: (node.operand,),
    Index: lambda node: (node.operand, node.key),
    Call: lambda node: node.arguments,
    Logic: lambda node: node.parts,
    Choice: lambda node: (node.condition, node.then, node.other),
    ListOf: lambda node: (item for item, _ in node.items),
    MapOf: lambda node: (part for key, value, _ in node.entries for part in (key, value)),
    Fold: lambda node: (node.source, *node.parts),
}
