"""Parses expressions into syntax trees (language definition: Syntax), in one pass and at most DEPTH levels deep."""

from __future__ import annotations

from controller.apiserver.schemas.cel.failures import ExpressionError
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
    inner,
)
from controller.apiserver.schemas.cel.tokens import RESERVED, Token, tokens
from controller.apiserver.schemas.cel.values import INTEGERS

LENGTH = 8192  # longest expression in characters; the longest in use have about two thousand
DEPTH = 64  # nested nodes: parsing and evaluation recurse on top of the recursive walk over the object
# Macros: how many variables and how many parts each accepts.
MACROS = {
    "all": ((1, 2), (1,)), "exists": ((1, 2), (1,)), "exists_one": ((1, 2), (1,)), "existsOne": ((1, 2), (1,)),
    "map": ((1,), (1, 2)), "filter": ((1,), (1,)), "transformList": ((2,), (1, 2)), "transformMap": ((2,), (1, 2)),
    "transformMapEntry": ((2,), (1, 2)), "optMap": ((1,), (1,)), "optFlatMap": ((1,), (1,)), "sortBy": ((1,), (1,)),
}  # fmt: skip
_COMPARISON = 3
_LEVELS = {
    "||": 1, "&&": 2, **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), _COMPARISON), "+": 4, "-": 4,
    "*": 5, "/": 5, "%": 5,
}  # fmt: skip
_NAMESPACES = ("sets", "lists", "ip", "optional", "format", "strings")


def parsed(text: str) -> Node:
    """The syntax tree of an expression. Raises ExpressionError."""
    if len(text) > LENGTH:
        raise ExpressionError(f"the expression is longer than {LENGTH} characters")
    return _Parser(text).expression()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._at = 0
        self._within = 0

    def expression(self) -> Node:
        node = self._choice()
        self._expect("end")
        # Again for the tree: chains of members and minus signs nest without _choice, and evaluation recurses over them.
        _check_depth(node)
        return node

    def _choice(self) -> Node:
        self._within += 1
        # While parsing, so that 8192 brackets cannot exhaust the stack of the interpreter.
        if self._within > DEPTH:
            raise ExpressionError(f"the expression is nested more than {DEPTH} levels deep")
        node = self._operation(1)
        if self._take("?"):
            then = self._operation(1)
            self._expect(":")
            node = Choice(node, then, self._choice())
        self._within -= 1
        return node

    def _operation(self, least: int) -> Node:
        """Parse operators of precedence ``least`` or higher. A chain of the same operator becomes one node."""
        operands, row = [self._unary()], ""
        while self._now.kind in ("sign", "name") and (level := _LEVELS.get(self._now.value, 0)) >= least:
            sign = self._next().value
            if sign != row or level == _COMPARISON:
                operands, row = [_operated(row, operands)], sign
            operands.append(self._operation(level + 1))
        return _operated(row, operands)

    def _unary(self) -> Node:
        signs = []
        while self._now.kind == "sign" and self._now.value in ("!", "-"):
            signs.append(self._next().value)
        node = self._members()
        # Fold the minus into the literal: the smallest integer is only valid with its minus.
        if signs[-1:] == ["-"] and isinstance(node, Literal) and type(node.value) in (int, float):
            node, _ = Literal(-node.value), signs.pop()
        elif isinstance(node, Literal) and type(node.value) is int and node.value not in INTEGERS:
            raise ExpressionError("invalid int literal")
        for sign in reversed(signs):
            node = Call(f"{sign}_", (node,))
        return node

    def _members(self) -> Node:
        node = self._primary()
        while True:  # for each member, index and call
            if self._take("."):
                node = self._member(node)
            elif self._take("["):
                optional = self._take("?")
                node = Index(node, self._choice(), optional)
                self._expect("]")
            else:
                return node

    def _member(self, target: Node) -> Node:
        optional = self._take("?")
        token = self._next()
        if token.kind != "name":
            raise self._fault(token)
        if optional or not self._take("("):
            return Select(target, token.value, optional)
        arguments = self._arguments(")")
        # With a single argument it is a method that happens to have this name, and is reported as undeclared.
        if token.value in MACROS and len(arguments) > 1:
            return _folded(token.value, target, arguments)
        if isinstance(target, Name) and target.name in _NAMESPACES and f"{target.name}.{token.value}" in _QUALIFIED:
            return Call(f"{target.name}.{token.value}", arguments)
        return Call(token.value, (target, *arguments), method=True)

    def _primary(self) -> Node:
        token = self._next()
        if token.kind == "literal":
            return Literal(token.value)
        if token.kind == "name" and token.value not in RESERVED:
            if not self._take("("):
                return Name(token.value)
            arguments = self._arguments(")")
            return _tested(arguments) if token.value == "has" else Call(token.value, arguments)
        if token.value == "(" and token.kind == "sign":
            node = self._choice()
            self._expect(")")
            return node
        if token.value == "[" and token.kind == "sign":
            return ListOf(tuple(self._items()))
        if token.value == "{" and token.kind == "sign":
            return MapOf(tuple(self._entries()))
        raise self._fault(token)

    def _arguments(self, end: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._take(end):
            found.append(self._choice())
            if not self._take(","):
                self._expect(end)
                break
        return tuple(found)

    def _items(self) -> list[tuple[Node, bool]]:
        found: list[tuple[Node, bool]] = []
        while not self._take("]"):
            optional = self._take("?")
            found.append((self._choice(), optional))
            if not self._take(","):
                self._expect("]")
                break
        return found

    def _entries(self) -> list[tuple[Node, Node, bool]]:
        found: list[tuple[Node, Node, bool]] = []
        while not self._take("}"):
            optional = self._take("?")
            key = self._choice()
            self._expect(":")
            found.append((key, self._choice(), optional))
            if not self._take(","):
                self._expect("}")
                break
        return found

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._now
        self._at += token.kind != "end"
        return token

    def _take(self, sign: str) -> bool:
        found = self._now.kind == "sign" and self._now.value == sign
        self._at += found
        return found

    def _expect(self, sign: str) -> None:
        token = self._next()
        if sign not in (token.value if token.kind == "sign" else "", token.kind):
            raise self._fault(token)

    @staticmethod
    def _fault(token: Token) -> ExpressionError:
        shown = "<EOF>" if token.kind == "end" else str(token.value)[:40]
        return ExpressionError(f"Syntax error: unexpected '{shown}' at character {token.place + 1}")


_QUALIFIED = {
    "sets.contains", "sets.intersects", "sets.equivalent", "lists.range", "ip.isCanonical", "optional.of",
    "optional.none", "optional.ofNonZeroValue", "format.named", "strings.quote",
    *(f"format.{name}" for name in (
        "dns1123Label", "dns1123Subdomain", "dns1035Label", "qualifiedName", "dns1123LabelPrefix",
        "dns1123SubdomainPrefix", "dns1035LabelPrefix", "labelValue", "uri", "uuid", "byte", "date", "datetime")),
}  # fmt: skip


def _operated(sign: str, operands: list[Node]) -> Node:
    if len(operands) == 1:
        return operands[0]
    return Logic(sign == "||", tuple(operands)) if sign in ("||", "&&") else Call(sign, tuple(operands))


def _folded(macro: str, source: Node, arguments: tuple[Node, ...]) -> Node:
    """The macro node; the number of arguments decides how many of them are variables."""
    variables, parts = MACROS[macro]
    for count in sorted(variables, reverse=True):
        names = [node.name for node in arguments[:count] if isinstance(node, Name)]
        if len(names) == count and len(arguments) - count in parts:
            return Fold(macro, source, tuple(names), arguments[count:])
    raise ExpressionError(f"{macro}() takes simple variable names, then the expressions to evaluate")


def _tested(arguments: tuple[Node, ...]) -> Node:
    # has() asks whether a field exists (language definition: Field Selection); a call or an index has none.
    if len(arguments) == 1 and isinstance(arguments[0], Select) and not arguments[0].optional:
        return arguments[0]._replace(tested=True)
    raise ExpressionError("invalid argument to has() macro")


def _check_depth(node: Node) -> None:
    # Level by level: a recursive check would fail on the very trees that it has to refuse.
    level, depth = [node], 0
    while level := [part for each in level for part in inner(each)]:
        depth += 1
        if depth > DEPTH:
            raise ExpressionError(f"the expression is nested more than {DEPTH} levels deep")
