"""Parses label and field selectors (API reference: labels and selectors, field selectors). Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sized
from typing import Any

from controller.apiserver.schemas import identifiers

Object = dict[str, Any]
Predicate = Callable[[Object], bool]
Requirement = Callable[[dict[str, str]], bool]

# Each pattern either matches or fails at the first character, so tokenizing takes linear time.
TOKEN = re.compile(r"==|!=|[=!<>(),]|[^\s=!<>(),]++")
DIGITS = 19  # most digits of a compared number
COMPARISONS = ("=", "==", "!=", "<", ">")
END = ""
GENERAL = ("metadata.name", "metadata.namespace")  # fields that every kind has
# Every requirement is evaluated for every object, and every value is checked: more would block the event loop.
REQUIREMENTS, TOKENS = 256, 4096
EXPECTED = "in, notin, =, ==, !=, gt, lt"

# One term of a field selector: path, operator, value with backslash escapes.
TERM = re.compile(r"((?:\\.?|[^\\,])*+)(?:,|$)", re.DOTALL)
ESCAPED = re.compile(r"\\([\\,=])")
SIGN = re.compile(r"!=|==|=")


class SelectorError(ValueError):
    """The selector is invalid."""


def labels(text: str) -> Predicate:
    """The predicate of a label selector. Raises SelectorError."""
    tests = _Parser(text).requirements()
    _check_count(tests)
    return lambda item: all(test(item["metadata"].get("labels") or {}) for test in tests)


def fields(text: str, supported: dict[str, Callable[[Object], str]]) -> Predicate:
    """The predicate of a field selector over the supported fields of a kind. Raises SelectorError."""
    tests = [_field_test(*term, supported) for term in _field_terms(text)]
    return lambda item: all(test(item) for test in tests)


def equalities(text: str) -> dict[str, str]:
    """The values that a field selector requires, by field. Raises SelectorError."""
    return {name: value for name, sign, value in _field_terms(text) if sign != "!="}


class _Parser:
    """Parses a label selector from left to right."""

    def __init__(self, text: str) -> None:
        # A deque: taking from the front of a list takes linear time each.
        self._tokens = deque([*TOKEN.findall(text), END])
        if len(self._tokens) > TOKENS:
            raise SelectorError(f"the selector has more than {TOKENS} parts")

    def requirements(self) -> list[Requirement]:
        """The requirements, one for each term; all must hold."""
        if self._tokens[0] == END:
            return []
        found = [self._requirement()]
        while (token := self._take()) == ",":
            found.append(self._requirement())
        if token != END:
            raise SelectorError(f"found '{token}', expected: ',' or 'end of string'")
        return found

    def _requirement(self) -> Requirement:
        absent = self._tokens[0] == "!" and bool(self._take())
        key = self._take()
        if not _is_word(key):
            raise SelectorError(f"found '{key}', expected: !, identifier, or 'end of string'")
        _check_key(key)
        if absent or self._tokens[0] in (",", END):
            return lambda found: (key in found) != absent
        operator = self._take()
        if operator in ("in", "notin"):
            values = self._values(key)
            return lambda found: (found.get(key) in values) == (operator == "in")
        if operator not in COMPARISONS:
            raise SelectorError(f"unable to parse requirement: found '{operator}', expected: {EXPECTED}")
        # ``key=`` selects objects whose label is empty.
        value = self._take() if _is_word(self._tokens[0]) else ""
        return _comparison(key, operator, value)

    def _values(self, key: str) -> set[str]:
        if (word := self._take()) != "(":
            raise SelectorError(f"unable to parse requirement: found '{word}' expected: '('")
        # Kubernetes reads an omitted value as the empty one: ``key in (,a)`` also selects objects with an empty label.
        values = {""} if self._tokens[0] in (",", ")") else set()
        while (word := self._take()) != ")":
            if _is_word(word):
                values.add(_checked(key, word))
            elif word == "," and self._tokens[0] in (",", ")"):
                values.add("")
            elif word != ",":
                raise SelectorError(f"unable to parse requirement: found '{word}', expected: ',' or ')'")
        return values

    def _take(self) -> str:
        return self._tokens.popleft() if len(self._tokens) > 1 else END


def _is_word(token: str) -> bool:
    return bool(token) and token not in ("!", "(", ")", ",", *COMPARISONS)


def _comparison(key: str, operator: str, value: str) -> Requirement:
    if operator in ("<", ">"):
        if not _is_number(value):
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise SelectorError(f'unable to parse requirement: values[0]: Invalid value: "{value}": {why}')
        above = operator == ">"
        return lambda found: (
            _is_number(found.get(key, "")) and (int(found[key]) > int(value) if above else int(found[key]) < int(value))
        )
    _checked(key, value)
    # An absent key satisfies ``!=``, as in Kubernetes.
    return lambda found: (found.get(key) == value) == (operator != "!=")


def _is_number(text: str) -> bool:
    # isdecimal() accepts digits of all scripts, and int() reads them; Kubernetes reads ASCII only.
    return len(text) <= DIGITS and text.isascii() and text.removeprefix("-").isdecimal()


def _check_count(requirements: Sized) -> None:
    if len(requirements) > REQUIREMENTS:
        raise SelectorError(f"the selector has more than {REQUIREMENTS} requirements")


def _check_key(key: str) -> None:
    if faults := identifiers.label_key(key):
        raise SelectorError(f'unable to parse requirement: <nil>: Invalid value: "{key}": {"; ".join(faults)}')


def _checked(key: str, value: str) -> str:
    if faults := identifiers.label_value(value):
        why = "; ".join(faults)
        raise SelectorError(f'unable to parse requirement: values[0][{key}]: Invalid value: "{value}": {why}')
    return value


def _field_terms(text: str) -> list[tuple[str, str, str]]:
    """The field, the operator and the value of each term."""
    terms = [term for term in TERM.findall(text) if term.strip()]
    _check_count(terms)
    return [_field_term(term) for term in terms]


def _field_term(term: str) -> tuple[str, str, str]:
    sign = SIGN.search(term)
    if sign is None:
        raise SelectorError(f"invalid selector: '{term}'; can't understand '{term}'")
    text = term[sign.end() :]
    # An escape that is none is refused, as in Kubernetes, instead of selecting objects that nobody meant.
    if "\\" in ESCAPED.sub("", text):
        raise SelectorError(f"invalid field selector: invalid escape sequence in '{text}'")
    return term[: sign.start()].strip(), sign[0], ESCAPED.sub(r"\1", text)


def _field_test(name: str, sign: str, value: str, supported: dict[str, Callable[[Object], str]]) -> Predicate:
    if name not in supported:
        raise SelectorError(_not_supported(name, supported))
    read, wanted = supported[name], sign != "!="
    return lambda item: (read(item) == value) == wanted


def _not_supported(name: str, supported: dict[str, Callable[[Object], str]]) -> str:
    # Kubernetes words it differently for kinds that have fields of their own.
    if len(supported) > len(GENERAL):
        return f"field label not supported: {name}"
    only = ", ".join(f'"{path}"' for path in GENERAL)
    return f'"{name}" is not a known field selector: only {only}'
