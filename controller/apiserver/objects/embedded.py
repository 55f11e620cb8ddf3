"""Embedded resources of custom resources (x-kubernetes-embedded-resource): their type and metadata (apiextensions/v1).

Their metadata is decoded and validated as that of any object. An object that was stored with a fault stays writable
(decision 141).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controller.apiserver.kinds import core_schemas
from controller.apiserver.objects import metadata
from controller.apiserver.schemas import identifiers, structural
from controller.apiserver.schemas.causes import Cause, invalid
from controller.apiserver.schemas.structural import EMBEDDED

Object = dict[str, Any]


class MalformedError(ValueError):
    """An embedded resource has a field of the wrong type."""


def decode(value: Any, schema: Object) -> list[str]:
    """Prune their metadata in place, and return the paths of its unknown fields. Raises MalformedError."""
    of_metadata, unknown = core_schemas.metadata(merged=False), []
    for path, found in _found(value, schema):
        for name in ("apiVersion", "kind"):
            if not isinstance(found.get(name, ""), str):
                raise MalformedError(f"{path}.{name}: {invalid(name, found[name], 'must be a string').message}")
        if "metadata" in found:
            place, given = f"{path}.metadata", {} if found["metadata"] is None else found["metadata"]
            structural.replace_nulls(given, of_metadata)
            if causes := structural.validate(given, of_metadata, place):
                raise MalformedError(causes[0].message)
            unknown += structural.prune(given, of_metadata, place)
            found["metadata"] = given
    return unknown


def faults(value: Any, schema: Object, old: Any) -> list[Cause]:
    """Their faults that the old value does not have."""
    before = set(_faults(old, schema))
    return [cause for cause in _faults(value, schema) if cause not in before]


def _faults(value: Any, schema: Object) -> Iterator[Cause]:
    for path, found in _found(value, schema):
        given = found.get("metadata")
        # An object of an earlier version may have any metadata.
        decoded = {} if given is None or structural.validate(given, core_schemas.metadata(merged=False)) else given
        for cause in (*_of_type(found), *metadata.embedded_faults(decoded)):
            yield cause._replace(field=f"{path}.{cause.field}")


def _of_type(found: Object) -> Iterator[Cause]:
    """The faults of version and kind; where they are missing, the schema says so."""
    version, kind = found.get("apiVersion"), found.get("kind")
    if version == "":
        yield invalid("apiVersion", version, "must not be empty")
    elif isinstance(version, str) and version.count("/") > 1:
        yield invalid("apiVersion", version, f"unexpected GroupVersion string: {version}")
    if kind == "":
        yield invalid("kind", kind, "must not be empty")
    elif isinstance(kind, str) and (wrong := identifiers.dns_1035_label(kind.lower())):
        yield invalid("kind", kind, f"may have mixed case, but should otherwise match: {','.join(wrong)}")


def _found(value: Any, schema: Object, path: str = "") -> Iterator[tuple[str, Object]]:
    """Each embedded resource in a value, with its path."""
    if isinstance(value, dict):
        if schema.get(EMBEDDED):
            yield path, value
        properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
        for name, part in value.items():
            if name in properties:
                yield from _found(part, properties[name], f"{path}.{name}" if path else name)
            elif isinstance(extra, dict):
                yield from _found(part, extra, f"{path}[{name}]")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _found(item, schema.get("items", {}), f"{path}[{index}]")
