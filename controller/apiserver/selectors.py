"""Label and field selectors (API reference: labels and selectors, field selectors)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
Predicate = Callable[[Object], bool]

_NAME = re.compile(r"([A-Za-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SET = re.compile(r"^\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*$")


class SelectorError(ValueError):
    """The selector cannot be read."""


def labels(text: str) -> Predicate:
    """A label selector as a predicate over objects."""
    tests = [_label_term(term) for term in _split(text)]
    return lambda item: all(test(item["metadata"].get("labels") or {}) for test in tests)


def fields(text: str, supported: dict[str, Callable[[Object], str]]) -> Predicate:
    """A field selector over the fields that the kind supports."""
    tests = [_field_term(term, supported) for term in _split(text)]
    return lambda item: all(test(item) for test in tests)


def _split(text: str) -> list[str]:
    return [term for term in re.split(r",(?![^(]*\))", text) if term.strip()]


def _label_term(term: str) -> Callable[[dict[str, str]], bool]:
    if match := _SET.match(term):
        name, operator, values = _key(match[1]), match[2], {value.strip() for value in match[3].split(",")}
        return lambda found: (found.get(name) in values) == (operator == "in")
    for sign in ("!=", "==", "="):
        if sign in term:
            name, value = (part.strip() for part in term.split(sign, 1))
            _key(name)
            return lambda found: (found.get(name) == value) == (sign != "!=")
    absent, name = term.strip().startswith("!"), _key(term.strip().removeprefix("!"))
    return lambda found: (name in found) != absent


def _key(text: str) -> str:
    name = text.strip()
    if not _NAME.fullmatch(name):
        raise SelectorError(f"unable to parse requirement: {text!r} is not the key of a label")
    return name


def _field_term(term: str, supported: dict[str, Callable[[Object], str]]) -> Predicate:
    for sign in ("!=", "==", "="):
        if sign in term:
            name, value = (part.strip() for part in term.split(sign, 1))
            if name not in supported:
                raise SelectorError(f"field label not supported: {name}")
            read = supported[name]
            return lambda item: (read(item) == value) == (sign != "!=")
    raise SelectorError(f"invalid selector: {term!r}; can't understand {term!r}")
