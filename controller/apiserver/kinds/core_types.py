"""The types of Kubernetes' own kinds: fields with their protobuf numbers and merge rules, from core_types.txt.

The file is read at first use; scripts/core_types.py documents its format. Encodings and schemas are built elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_suffix(".txt")


@dataclass(frozen=True)
class Field:
    """One field; ``kind`` is a Go type such as ``string``, ``*int32``, ``[]core.Taint``, ``map[string]bytes``."""

    name: str
    number: int
    kind: str
    zero: bool  # its JSON includes the field even when it is zero
    marks: dict[str, str]  # merge, list, keys, map


@dataclass(frozen=True)
class Type:
    """One struct; ``atomic``: server-side apply treats it as one field."""

    fields: tuple[Field, ...]
    atomic: bool


@cache
def types() -> dict[str, Type]:
    """All types by name, such as ``core.Node``."""
    found: dict[str, Type] = {}
    current = ""
    for line in FILE.read_text().splitlines():
        if line.startswith("  "):
            name, number, kind, *marks = line.split()
            parsed = dict(mark.partition("=")[::2] for mark in marks)
            field = Field(name, int(number), kind, parsed.pop("zero", None) is not None, parsed)
            found[current] = Type((*found[current].fields, field), found[current].atomic)
        elif not line.startswith("#"):
            current, _, mark = line.partition(" ")
            found[current] = Type((), mark == "map=atomic")
    return found


# The packages that hold the kinds of a group, as core_types.txt names them.
PACKAGES = {
    "": "core",
    "events.k8s.io": "events",
    "coordination.k8s.io": "coordination",
    "authentication.k8s.io": "authentication",
    "authorization.k8s.io": "authorization",
    "apiextensions.k8s.io": "extensions",
}


def name_of(api_version: str, kind: str) -> str | None:
    """The name of the type of a kind, None when there is none."""
    group = api_version.rpartition("/")[0]
    # Kinds of meta, such as DeleteOptions, exist in every group.
    candidates = (f"{PACKAGES.get(group, '')}.{kind}", f"meta.{kind}")
    return next((name for name in candidates if name in types()), None)
