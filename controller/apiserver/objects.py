"""What happens to an object on its way in: metadata, defaults, pruning, validation, generation, finalizers."""

from __future__ import annotations

import copy
import re
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

from controller.apiserver import failures, rules, structural
from controller.apiserver.resources import Resource
from controller.apiserver.structural import Cause

Object = dict[str, Any]

NAME = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
NAME_MESSAGE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
# Fields of metadata that only the server sets.
OWNED = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")


def now() -> str:
    """The time as metadata holds it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def prepare_create(resource: Resource, body: Object, namespace: str) -> tuple[Object, list[str]]:
    """The object to store, and the names of unknown fields. Raises failures.Failure."""
    item = _typed(resource, body)
    metadata = dict(item.get("metadata") or {})
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + secrets.token_hex(3)[:5]
    name = metadata.get("name") or ""
    if not name:
        cause = Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")
        raise failures.invalid(resource, "", [cause])
    if not NAME.match(name) or len(name) > 253:
        message = f'Invalid value: "{name}": {NAME_MESSAGE}'
        raise failures.invalid(resource, name, [Cause("FieldValueInvalid", message, "metadata.name")])
    if resource.namespaced:
        if metadata.get("namespace", namespace) != namespace:
            raise failures.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    for field in OWNED:
        metadata.pop(field, None)
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
    if resource.has_generation:
        metadata["generation"] = 1
    item["metadata"] = metadata
    if resource.has_status and resource.schema is not None:
        item.pop("status", None)
    return item, admit(resource, item, None)


def prepare_update(resource: Resource, old: Object, body: Object, *, subresource: str) -> tuple[Object, list[str]]:
    """The object that replaces ``old``. Raises failures.Failure."""
    item = _typed(resource, body)
    metadata = dict(item.get("metadata") or {})
    _check_identity(resource, old, metadata)
    kept = {field: old["metadata"][field] for field in OWNED if field in old["metadata"]}
    item["metadata"] = {**{k: v for k, v in metadata.items() if k not in OWNED}, **kept}
    item["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    if subresource == "status":
        status = item.get("status")
        item = {k: v for k, v in old.items() if k != "status"}
        item = {**item, "status": status} if status is not None else item
    elif resource.has_status and resource.schema is not None:
        item.pop("status", None)
        item = {**item, "status": old["status"]} if "status" in old else item
    unknown = admit(resource, item, old)
    if resource.has_generation and _wish(item, resource) != _wish(old, resource):
        item["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
    return item, unknown


def admit(resource: Resource, item: Object, old: Object | None) -> list[str]:
    """Defaults, pruning and validation in place; the unknown fields that went."""
    schema = resource.schema
    if schema is None:
        return []
    metadata = item["metadata"]
    body = {k: v for k, v in item.items() if k not in ("apiVersion", "kind", "metadata")}
    properties = {k: v for k, v in schema.get("properties", {}).items() if k not in ("apiVersion", "kind", "metadata")}
    inner = {**schema, "properties": properties}
    body = copy.deepcopy(body)
    structural.apply_defaults(body, inner)
    unknown = structural.prune(body, inner)
    causes = structural.validate(body, inner) or rules.check(resource, body, old)
    if causes:
        raise failures.invalid(resource, metadata["name"], causes)
    for name in [k for k in item if k not in ("apiVersion", "kind", "metadata")]:
        del item[name]
    item.update(body)
    return unknown


def _typed(resource: Resource, body: Object) -> Object:
    if not isinstance(body, dict):
        raise failures.bad_request("the body must be an object")
    given = (body.get("apiVersion") or resource.api_version, body.get("kind") or resource.kind)
    if given != (resource.api_version, resource.kind):
        raise failures.bad_request(
            f"the API version in the data ({given[0]}, {given[1]}) does not match the expected API version "
            f"({resource.api_version}, {resource.kind})"
        )
    return {**copy.deepcopy(body), "apiVersion": resource.api_version, "kind": resource.kind}


def _check_identity(resource: Resource, old: Object, metadata: Object) -> None:
    name = old["metadata"]["name"]
    if metadata.get("name", name) != name:
        raise failures.bad_request("the name of the object does not match the name on the URL")
    if metadata.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
        raise failures.precondition(resource, name, "uid", metadata["uid"], old["metadata"]["uid"])
    version = metadata.get("resourceVersion")
    if version and version != old["metadata"]["resourceVersion"]:
        raise failures.conflict(resource, name)
    if "deletionTimestamp" in old["metadata"]:
        added = set(metadata.get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ())
        if added:
            shown = ", ".join(f'"{f}"' for f in sorted(added))
            message = (
                "Forbidden: no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{shown}}}"
            )
            raise failures.invalid(resource, name, [Cause("FieldValueForbidden", message, "metadata.finalizers")])


def _wish(item: Object, resource: Resource) -> Object:
    skipped = {"metadata", "status"} if resource.has_status else {"metadata"}
    return {k: v for k, v in item.items() if k not in skipped}
