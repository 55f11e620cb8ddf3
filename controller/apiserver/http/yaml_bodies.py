"""Decode YAML bodies as Kubernetes converts them to JSON (sigs.k8s.io/yaml: YAML 1.1 as Go's yaml.v2 reads it).

Built from libyaml's events without recursion. Rejects aliases and merge keys, so that no object is larger than its
text, and values that JSON cannot represent. Timestamps stay strings; keys become strings.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml import events

from controller.apiserver import bounds
from controller.apiserver.http import json_bodies
from controller.apiserver.http.json_bodies import DUPLICATES, INT_DIGITS, Decoded

Object = dict[str, Any]

CORE = "tag:yaml.org,2002:"
TEXT = ("!", f"{CORE}str")
TAGS = ("", *TEXT, *(f"{CORE}{name}" for name in ("map", "seq", "int", "float", "bool", "null", "timestamp")))
WORDS: dict[str, Any] = {
    **{form: value for word, value in (("y", True), ("yes", True), ("true", True), ("on", True), ("n", False),
       ("no", False), ("false", False), ("off", False), ("null", None))
       for form in (word, word.capitalize(), word.upper())},
    "": None, "~": None,
}  # fmt: skip
_DIRECTIVE = re.compile(rb"^%", re.MULTILINE)  # rejected: libyaml compares each directive with all others
_NUMBER_BEGINS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?(0x[0-9a-fA-F]+|0b[01]+|0o?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ENDLESS = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_BASES = {"0x": 16, "0b": 2, "0o": 8}


class RejectedError(ValueError):
    """The body is rejected; names the line."""

    def __init__(self, event: Any, why: str) -> None:
        super().__init__(f"line {event.start_mark.line + 1}: {why}")


def of_yaml(raw: bytes) -> Decoded:
    """Decode YAML. JSON is YAML too, and much faster to parse. Raises ValueError and yaml.YAMLError."""
    if raw.lstrip().startswith(b"{"):
        return json_bodies.of_json(raw)
    if _DIRECTIVE.search(raw):
        raise ValueError("YAML directives are not supported")
    builder = _Builder()
    for event in yaml.parse(raw.decode(), Loader=yaml.CSafeLoader):
        builder.take(event)
    return Decoded(builder.found, tuple(builder.duplicates))


class _Builder:
    """Builds an object from events; holds the stack of open objects and lists, outermost first."""

    def __init__(self) -> None:
        self.found: Any = None
        self.duplicates: list[str] = []
        self._open: list[Object | list[Any]] = []
        self._keys: list[str | None] = []  # parallel to _open: the key whose value comes next
        self._count = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        """Process the next event. Raises ValueError."""
        match event:
            case events.ScalarEvent():
                self._take_scalar(event)
            case events.MappingStartEvent():
                self._begin(event, {})
            case events.SequenceStartEvent():
                self._begin(event, [])
            case events.MappingEndEvent() | events.SequenceEndEvent():
                self._open.pop()
                self._keys.pop()
            case events.AliasEvent():
                raise RejectedError(event, "aliases are not supported; write the value out")
            case events.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise RejectedError(event, "a body must contain one document only")

    def _begin(self, event: Any, container: Object | list[Any]) -> None:
        if self._awaits_key():
            raise RejectedError(event, "a key must be a single value")
        _check_tag(event)
        self._put(container)
        self._open.append(container)
        self._keys.append(None)
        bounds.check_figures(self._count, len(self._open))

    def _take_scalar(self, event: Any) -> None:
        value = _scalar(event)
        if not self._awaits_key():
            self._put(value)
            return
        # Quoted, it is an ordinary key.
        if value == "<<" and event.implicit[0]:
            raise RejectedError(event, "merge keys are not supported; write the fields out")
        key = _key(event, value)
        if key in self._open[-1] and len(self.duplicates) < DUPLICATES:
            self.duplicates.append(f'line {event.start_mark.line + 1}: key "{key}" already set in map')
        self._keys[-1] = key

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1], dict) and self._keys[-1] is None

    def _put(self, value: Any) -> None:
        # Checked while building: three megabytes of YAML may be a million values.
        self._count += 1
        bounds.check_figures(self._count, 0)
        if not self._open:
            self.found = value
        elif isinstance(around := self._open[-1], list):
            around.append(value)
        else:
            around[str(self._keys[-1])] = value
            self._keys[-1] = None


def _scalar(event: Any) -> Any:
    _check_tag(event)
    plain = event.implicit[0] if event.tag is None else event.tag not in TEXT
    return _resolved(event.value) if plain else event.value


def _check_tag(event: Any) -> None:
    if (event.tag or "") not in TAGS:
        raise RejectedError(event, f"the tag {event.tag} is not supported")


def _resolved(text: str) -> Any:
    """Resolve a plain scalar. Raises ValueError for a value that JSON cannot represent."""
    if text in WORDS:
        return WORDS[text]
    if text[0] not in _NUMBER_BEGINS:
        return text
    if _ENDLESS.fullmatch(text):
        raise ValueError(f"{text} is not a JSON value")
    # YAML 1.1 allows underscores within numbers, and Go's yaml.v2 drops them.
    digits = text.replace("_", "")
    try:
        if _INTEGER.fullmatch(digits):
            return _whole(digits)
        return json_bodies.number(digits) if _FLOAT.fullmatch(digits) else text
    except ValueError:
        return text  # a number out of range stays a string, as in Go


def _whole(digits: str) -> int | float:
    """Parse a whole number in base 16, 8, 2 or 10. Raises ValueError if it is out of range."""
    bare = digits.lstrip("+-")
    base = _BASES.get(bare[:2], 8 if bare[0] == "0" and len(bare) > 1 else 10)
    if base == 10:
        return json_bodies.integer(digits)
    value = int(digits, base)
    if value not in json_bodies.INT64:
        raise ValueError(f"{digits[:INT_DIGITS]} is out of range")
    return value


def _key(event: Any, value: Any) -> str:
    """Convert a key to a JSON key."""
    if isinstance(value, str):
        return value
    if value is None:
        raise RejectedError(event, "a key must not be null")
    return str(value).lower() if isinstance(value, bool) else str(value)
