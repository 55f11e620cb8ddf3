"""Admission of written objects: unknown fields, defaulting, pruning, validation, rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from controller.apiserver import bounds, failures
from controller.apiserver.copies import copied
from controller.apiserver.kinds import core_schemas
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects import embedded, metadata
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.schemas import rules, structural
from controller.apiserver.schemas.causes import Cause
from controller.apiserver.schemas.correlation import ABSENT
from controller.apiserver.schemas.structural import PRESERVE

Object = dict[str, Any]

ENVELOPE = ("apiVersion", "kind", "metadata")


def decode(resource: Resource, body: Any, options: WriteOptions) -> tuple[Object, list[str]]:
    """The body as a pruned object with well-typed metadata, and its warnings. Raises failures.Failure."""
    item, unknown = _shaped(resource, body)
    warnings = [f'unknown field "{field}"' for field in unknown]
    # Kubernetes' order of messages: duplicates first for custom resources, last for its own kinds.
    faults = [*options.duplicates, *warnings] if resource.schema else [*warnings, *options.duplicates]
    if faults and options.validation == "Strict":
        raise failures.bad_request(f"{_cannot_be_handled(resource)}: strict decoding error: {', '.join(faults)}")
    return item, faults if options.validation == "Warn" else []


def decode_applied(resource: Resource, body: Any, options: WriteOptions) -> tuple[Object, list[str]]:
    """As ``decode``, for server-side apply, which refuses unknown fields instead of dropping them."""
    # Before the body is looked at: here Kubernetes converts YAML to JSON strictly, and fails with this very text.
    if options.duplicates and options.validation == "Strict":
        warnings = "".join(f"\n  {duplicate}" for duplicate in options.duplicates)
        raise failures.bad_request(
            f"error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:{warnings}"
        )
    item, unknown = _shaped(resource, body)
    if unknown:
        raise failures.undeclared(resource, item["metadata"], unknown)
    return item, list(options.duplicates) if options.validation == "Warn" else []


def _shaped(resource: Resource, body: Any) -> tuple[Object, list[str]]:
    """A pruned, type-checked copy of the body, and its unknown fields."""
    if not isinstance(body, dict):
        raise failures.bad_request("the body must be an object")
    named = (body.get("apiVersion") or resource.api_version, body.get("kind") or resource.kind)
    if named != (resource.api_version, resource.kind):
        raise failures.bad_request(
            f"the API version in the data ({named[0]}) does not match the expected API version "
            f"({resource.api_version}), or the kind ({named[1]}) is not {resource.kind}"
        )
    # Before the copy, which recurses once per level, as do all walks below.
    _check_bounds(body)
    item = {**copied(body), "apiVersion": resource.api_version, "kind": resource.kind}
    given = item["metadata"] = item.get("metadata") or {}
    of_metadata = core_schemas.metadata(merged=False)
    structural.replace_nulls(given, of_metadata)
    if causes := structural.validate(given, of_metadata, "metadata"):
        raise failures.bad_request(f"{_cannot_be_handled(resource)}: {causes[0].message}")
    # Also for kinds without a schema: the server itself relies on the types of metadata.
    unknown = structural.prune(given, of_metadata, "metadata")
    if resource.structural_schema is None:
        return item, unknown
    rest = _with_envelope(resource.structural_schema)
    # A core kind has Go types, in which a null is an absent field. A custom resource may declare nullable fields.
    if resource.schema is None:
        structural.replace_nulls(item, rest)
        if causes := structural.validate(item, rest):
            raise failures.bad_request(f"{_cannot_be_handled(resource)}: {causes[0].field}: {causes[0].message}")
    unknown += structural.prune(item, rest)
    if resource.embeds:
        try:
            unknown += embedded.decode(item, rest)
        except embedded.MalformedError as error:
            raise failures.bad_request(f"{_cannot_be_handled(resource)}: {error}") from error
    return item, unknown


def admit(resource: Resource, item: Object, old: Object | None) -> Object:
    """The validated object with its defaults. Raises failures.Failure (422)."""
    # Without managed fields, which the server adds: a body within the bounds must not exceed them by its bookkeeping.
    _check_bounds({**item, "metadata": {**item["metadata"], "managedFields": None}})
    item = resource.prepare(item, old)
    # All faults at once, as in Kubernetes: a person should not have to correct them one by one.
    causes = metadata.faults(resource, item["metadata"], old["metadata"] if old else None)
    causes += [*resource.check(item), *(resource.check_change(item, old) if old is not None else [])]
    if resource.schema is not None:
        before = _before(resource, resource.schema, old) if old else None
        item, of_schema = _by_schema(resource, resource.schema, item, before, causes)
        causes += of_schema
    if causes:
        raise failures.invalid(resource, item["metadata"].get("name") or "", causes)
    return item


def _by_schema(
    resource: Resource, schema: Object, item: Object, before: Object | None, known: list[Cause]
) -> tuple[Object, list[Cause]]:
    """A custom resource with its defaults, and its faults by its schema; ``known`` are faults found before."""
    schema = _without_envelope(schema)
    body, budget = _defaulted(item, schema)
    with _bounded():
        # A write with too many defaults is refused; a stored object is only read without them.
        budget.check()
    causes = structural.validate(body, schema, old=ABSENT if before is None else before)
    if resource.embeds:
        causes += embedded.faults(body, schema, before)
    # Faults of metadata count as well: in Kubernetes an over-long annotation also leaves the rules unchecked.
    causes += rules.unchecked(schema, [*known, *causes]) or rules.check(schema, body, before)
    return {**{key: item[key] for key in ENVELOPE}, **body}, causes


def _before(resource: Resource, schema: Object, old: Object) -> Object:
    """The old object without its envelope, with today's defaults: one that was added since must not count as a change.

    Only to be read: what was written since the definition has the defaults, and is not copied.
    """
    if 0 < resource.defined_at < int(old["metadata"].get("resourceVersion") or 0):
        return {key: value for key, value in old.items() if key not in ENVELOPE}
    return _defaulted(old, _without_envelope(schema))[0]


def _defaulted(item: Object, schema: Object) -> tuple[Object, bounds.Budget]:
    """The object without its envelope, with defaults as far as the size limit allows."""
    body = {key: copied(value) for key, value in item.items() if key not in ENVELOPE}
    budget = bounds.Budget(body)
    structural.apply_defaults(body, schema, budget)
    return body, budget


def adapted_to_schema(resource: Resource, item: Object) -> Object:
    """A stored object adapted to the current schema: with its defaults, without unknown fields.

    Never fails, so that every stored object stays readable: defaults beyond the size limit are left out.
    """
    # Watchers and other requests share the stored object.
    item = copied(item)
    if resource.schema is not None:
        structural.prune(item, _with_envelope(resource.schema))
        structural.apply_defaults(item, _without_envelope(resource.schema), bounds.Budget(item))
    return item


def _check_bounds(item: Object) -> None:
    """Check the size again after patches and apply, which add to the stored object. Raises failures.Failure (413)."""
    with _bounded():
        bounds.check(item)


@contextmanager
def _bounded() -> Iterator[None]:
    try:
        yield
    except bounds.ExceededError as error:
        raise failures.unbounded(error) from error


def _cannot_be_handled(resource: Resource) -> str:
    return f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'


def _with_envelope(schema: Object) -> Object:
    return {**schema, "properties": {**schema.get("properties", {}), **{key: {PRESERVE: True} for key in ENVELOPE}}}


def _without_envelope(schema: Object) -> Object:
    properties = {k: v for k, v in schema.get("properties", {}).items() if k not in ENVELOPE}
    required = [name for name in schema.get("required", ()) if name not in ENVELOPE]
    return {**schema, "properties": properties, "required": required}
