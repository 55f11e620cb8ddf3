"""Booleans in the query of a request, as Kubernetes reads them (apimachinery: Convert_Slice_string_To_bool)."""

from __future__ import annotations

from collections.abc import Mapping

_FALSE = ("false", "0")


def flag(query: Mapping[str, str], name: str) -> bool:
    """Whether the option is set: with any value, also none, but ``false`` and ``0``."""
    return name in query and query[name].lower() not in _FALSE
