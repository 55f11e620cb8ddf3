"""What every object goes through on its way in: unknown fields, defaults, pruning, validation, rules."""

from __future__ import annotations

import copy
import re
from typing import Any

from controller.apiserver import failures
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects import bounds
from controller.apiserver.objects.write_options import WriteOptions
from controller.apiserver.schemas import rules, structural
from controller.apiserver.schemas.causes import Cause
from controller.apiserver.schemas.structural import PRESERVE

Object = dict[str, Any]

ENVELOPE = ("apiVersion", "kind", "metadata")
TEXTS: Object = {"type": "object", "nullable": True, "additionalProperties": {"type": "string"}}
METADATA: Object = {
    "type": "object",
    "properties": {
        **{name: {"type": "string", "nullable": True} for name in (
            "name", "generateName", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
            "selfLink",
        )},
        **{name: {"type": "integer", "nullable": True} for name in ("generation", "deletionGracePeriodSeconds")},
        "labels": TEXTS,
        "annotations": TEXTS,
        "finalizers": {"type": "array", "nullable": True, "items": {"type": "string"}},
        "ownerReferences": {"type": "array", "nullable": True, "items": {
            "type": "object", "required": ["apiVersion", "kind", "name", "uid"],
            "properties": {
                **{name: {"type": "string"} for name in ("apiVersion", "kind", "name", "uid")},
                **{name: {"type": "boolean", "nullable": True} for name in ("controller", "blockOwnerDeletion")},
            },
        }},
        "managedFields": {"type": "array", "nullable": True, "items": {"type": "object", PRESERVE: True}},
    },
}  # fmt: skip
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
LABEL_MESSAGE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
ANNOTATIONS_LENGTH = 256 << 10


def typed(resource: Resource, body: Any, options: WriteOptions) -> tuple[Object, list[str]]:
    """The body as an object of this kind with sound metadata, and its unknown fields. Raises failures.Failure."""
    item, unknown = _shaped(resource, body)
    told = [f'unknown field "{field}"' for field in unknown]
    faults = [*options.duplicates, *told] if resource.schema else [*told, *options.duplicates]
    if faults and options.validation == "Strict":
        raise failures.bad_request(f"{_cannot_be_handled(resource)}: strict decoding error: {', '.join(faults)}")
    return item, faults if options.validation == "Warn" else []


def applied(resource: Resource, body: Any, options: WriteOptions) -> tuple[Object, list[str]]:
    """As ``typed``, for server-side apply, which never drops what it does not know."""
    if options.duplicates and options.validation == "Strict":
        told = "".join(f"\n  {duplicate}" for duplicate in options.duplicates)
        raise failures.bad_request(
            f"error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:{told}"
        )
    item, unknown = _shaped(resource, body)
    if unknown:
        raise failures.undeclared(resource, item["metadata"], unknown)
    return item, list(options.duplicates) if options.validation == "Warn" else []


def _shaped(resource: Resource, body: Any) -> tuple[Object, list[str]]:
    """The body with the types that its kind has, and the unknown fields that it had."""
    if not isinstance(body, dict):
        raise failures.bad_request("the body must be an object")
    given = (body.get("apiVersion") or resource.api_version, body.get("kind") or resource.kind)
    if given != (resource.api_version, resource.kind):
        raise failures.bad_request(
            f"the API version in the data ({given[0]}) does not match the expected API version "
            f"({resource.api_version}), or the kind ({given[1]}) is not {resource.kind}"
        )
    _check_bounds(body)
    item = {**copy.deepcopy(body), "apiVersion": resource.api_version, "kind": resource.kind}
    metadata = item["metadata"] = item.get("metadata") or {}
    if causes := structural.validate(metadata, METADATA, "metadata"):
        raise failures.bad_request(f"{_cannot_be_handled(resource)}: {causes[0].message}")
    unknown = structural.prune(metadata, METADATA, "metadata")
    if resource.structure is None:
        return item, unknown
    rest = _with_envelope(resource.structure)
    if resource.schema is None and (causes := structural.validate(item, rest)):
        raise failures.bad_request(f"{_cannot_be_handled(resource)}: {causes[0].field}: {causes[0].message}")
    return item, unknown + structural.prune(item, rest)


def admit(resource: Resource, item: Object, old: Object | None) -> Object:
    """The object with its defaults, once nothing is wrong with it. Raises failures.Failure (422)."""
    _check_bounds({**item, "metadata": {**item["metadata"], "managedFields": None}})
    item = resource.enter(item, old)
    name = item["metadata"].get("name", "")
    causes = [*_metadata_faults(item["metadata"]), *resource.check(item)]
    if causes := causes + (resource.check_change(item, old) if old is not None else []):
        raise failures.invalid(resource, name, causes)
    if resource.schema is None:
        return item
    schema = _without_envelope(resource.schema)
    body = {key: value for key, value in item.items() if key not in ENVELOPE}
    structural.apply_defaults(body, schema)
    causes = structural.validate(body, schema)
    causes += rules.unchecked(schema, causes) or rules.check(schema, body, old)
    if causes:
        raise failures.invalid(resource, name, causes)
    return {**{key: item[key] for key in ENVELOPE}, **body}


def refreshed(resource: Resource, item: Object) -> Object:
    """A stored object as the schema of today has it: with its defaults, without what it no longer knows."""
    item = copy.deepcopy(item)
    if resource.schema is not None:
        structural.prune(item, _with_envelope(resource.schema))
        structural.apply_defaults(item, _without_envelope(resource.schema))
    return item


def _check_bounds(item: Object) -> None:
    """Patches and applied configurations add to what is there. Raises failures.Failure (413)."""
    try:
        bounds.check(item)
    except bounds.ExceededError as error:
        raise failures.unbounded(error) from error


def _metadata_faults(metadata: Object) -> list[Cause]:
    causes = []
    for name, value in (metadata.get("labels") or {}).items():
        prefix, _, rest = name.rpartition("/")
        if not rest or not LABEL.fullmatch(rest) or len(rest) > 63 or len(prefix) > 253:
            causes.append(Cause("FieldValueInvalid", f'Invalid value: "{name}": {LABEL_MESSAGE}', "metadata.labels"))
        if not LABEL.fullmatch(value) or len(value) > 63:
            causes.append(Cause("FieldValueInvalid", f'Invalid value: "{value}": {LABEL_MESSAGE}', "metadata.labels"))
    if sum(len(k) + len(v) for k, v in (metadata.get("annotations") or {}).items()) > ANNOTATIONS_LENGTH:
        message = f"Too long: may not be more than {ANNOTATIONS_LENGTH} bytes"
        causes.append(Cause("FieldValueTooLong", message, "metadata.annotations"))
    return causes


def _cannot_be_handled(resource: Resource) -> str:
    return f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'


def _with_envelope(schema: Object) -> Object:
    return {**schema, "properties": {**schema.get("properties", {}), **{key: {PRESERVE: True} for key in ENVELOPE}}}


def _without_envelope(schema: Object) -> Object:
    properties = {k: v for k, v in schema.get("properties", {}).items() if k not in ENVELOPE}
    required = [name for name in schema.get("required", ()) if name not in ENVELOPE]
    return {**schema, "properties": properties, "required": required}
