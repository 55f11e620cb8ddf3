"""What the server makes of an object that is created or changed: identity, generation, status apart, managers."""

from __future__ import annotations

import re
import secrets
import uuid
from typing import Any

from controller.apiserver import admission, failures, managers, times
from controller.apiserver.managers import Manager, Managers
from controller.apiserver.options import WriteOptions
from controller.apiserver.resources import Resource
from controller.apiserver.structural import Cause

Object = dict[str, Any]

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
NAME_MESSAGE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
# Fields of metadata that only the server sets.
OWNED = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words come out by chance


def created(resource: Resource, item: Object, namespace: str, options: WriteOptions) -> Object:
    """The object to store, from one that admission.typed gave. Raises failures.Failure."""
    _place(resource, item["metadata"], namespace)
    metadata = {name: value for name, value in item["metadata"].items() if name not in OWNED}
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": times.now()}
    if resource.has_generation:
        metadata["generation"] = 1
    item = {**item, "metadata": metadata}
    if resource.has_status:
        item.pop("status", None)
    item = admission.admit(resource, item, None)
    manager = _manager(resource, options)
    return managed(item, managers.after_update({}, manager, {}, item, resource.structure, times.now()))


def changed(resource: Resource, old: Object, item: Object, options: WriteOptions) -> Object:
    """The object that replaces ``old``, with the changes that ``options.subresource`` allows."""
    new = replaced(resource, old, item, options)
    given = item["metadata"]
    # An object without the field knows nothing of managers; one with an empty list gives them up.
    before = managers.read(given if given.get("managedFields") is not None else old["metadata"])
    manager = _manager(resource, options)
    return managed(new, managers.after_update(before, manager, old, new, resource.structure, times.now()))


def replaced(resource: Resource, old: Object, item: Object, options: WriteOptions) -> Object:
    """As ``changed``, without a look at managers. Raises failures.Failure."""
    metadata = item["metadata"]
    _check_identity(resource, old, metadata)
    kept = {field: old["metadata"][field] for field in OWNED if field in old["metadata"]}
    wished = {name: value for name, value in metadata.items() if name not in OWNED}
    kept["resourceVersion"] = old["metadata"]["resourceVersion"]
    if options.subresource == "status":
        item = _with_status(old, item)
    elif resource.has_status:
        item = _with_status({**item, "metadata": {**wished, **kept}}, old)
    else:
        item = {**item, "metadata": {**wished, **kept}}
    item = admission.admit(resource, item, old)
    if resource.has_generation and _wish(item, resource) != _wish(old, resource):
        generation = old["metadata"].get("generation", 0) + 1
        item = {**item, "metadata": {**item["metadata"], "generation": generation}}
    return item


def managed(item: Object, owned: Managers) -> Object:
    """The object with these managers."""
    rest = {name: value for name, value in item["metadata"].items() if name != "managedFields"}
    entries = managers.write(owned)
    return {**item, "metadata": {**rest, "managedFields": entries} if entries else rest}


def is_held(item: Object) -> bool:
    """Whether finalizers keep a deleted object; those of a namespace stand in its spec."""
    of_namespace = item.get("kind") == "Namespace" and item.get("apiVersion") == "v1"
    return bool(item["metadata"].get("finalizers") or (of_namespace and item.get("spec", {}).get("finalizers")))


def is_done(item: Object) -> bool:
    """Whether a deleted object is to go now."""
    return "deletionTimestamp" in item["metadata"] and not is_held(item)


def _place(resource: Resource, metadata: Object, namespace: str) -> None:
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + "".join(secrets.choice(SUFFIX) for _ in range(5))
    name = metadata.get("name") or ""
    if not name:
        cause = Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")
        raise failures.invalid(resource, "", [cause])
    if not NAME.fullmatch(name) or len(name) > 253:
        message = f'Invalid value: "{name}": {NAME_MESSAGE}'
        raise failures.invalid(resource, name, [Cause("FieldValueInvalid", message, "metadata.name")])
    if not resource.namespaced:
        metadata.pop("namespace", None)
        return
    if (metadata.get("namespace") or namespace) != namespace:
        raise failures.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    metadata["namespace"] = namespace


def _check_identity(resource: Resource, old: Object, metadata: Object) -> None:
    name = old["metadata"]["name"]
    if (metadata.get("name") or name) != name:
        raise failures.bad_request("the name of the object does not match the name on the URL")
    if (uid := metadata.get("uid")) and uid != old["metadata"]["uid"]:
        raise failures.precondition(resource, name, "uid", uid, old["metadata"]["uid"])
    if (version := metadata.get("resourceVersion")) and version != old["metadata"]["resourceVersion"]:
        raise failures.conflict(resource, name)
    if "deletionTimestamp" in old["metadata"]:
        _check_finalizers(resource, old, metadata)


def _check_finalizers(resource: Resource, old: Object, metadata: Object) -> None:
    added = set(metadata.get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ())
    if added:
        shown = ", ".join(f'"{finalizer}"' for finalizer in sorted(added))
        message = (
            "Forbidden: no new finalizers can be added if the object is being deleted, "
            f"found new finalizers []string{{{shown}}}"
        )
        cause = Cause("FieldValueForbidden", message, "metadata.finalizers")
        raise failures.invalid(resource, old["metadata"]["name"], [cause])


def _with_status(item: Object, source: Object) -> Object:
    """The object with the status of the other, or with none where that has none."""
    rest = {name: value for name, value in item.items() if name != "status"}
    return {**rest, "status": source["status"]} if "status" in source else rest


def _wish(item: Object, resource: Resource) -> Object:
    skipped = {"metadata", "status", "apiVersion"} if resource.has_status else {"metadata", "apiVersion"}
    return {k: v for k, v in item.items() if k not in skipped}


def _manager(resource: Resource, options: WriteOptions) -> Manager:
    return Manager(options.manager, managers.UPDATE, resource.api_version, options.subresource)
