"""Server-side changes to a created or updated object: identity, generation, separate status, managers."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Collection
from typing import Any

from controller.apiserver import failures, times
from controller.apiserver.equality import identical
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects import admission, managers
from controller.apiserver.objects.managers import Manager, Managers
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.schemas.causes import Cause

Object = dict[str, Any]

OTHER_NAMESPACE = "the namespace of the provided object does not match the namespace sent on the request"
# Fields of metadata that only the server sets.
OWNED = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, so that no words appear by chance
SUFFIX_LENGTH = 5
GENERATED_LENGTH = 63 - SUFFIX_LENGTH  # truncated, so that the name is a valid label value


def metadata_string(body: Any, field: str) -> str:
    """A string in the metadata of an unvalidated body; "" when there is none."""
    metadata = body.get("metadata") if isinstance(body, dict) else None
    found = metadata.get(field) if isinstance(metadata, dict) else None
    return found if isinstance(found, str) else ""


def name_of(body: Any) -> str:
    """The name of a new object: its own, or one generated from ``generateName``; "" with neither."""
    name, beginning = metadata_string(body, "name"), metadata_string(body, "generateName")
    if name or not beginning:
        return name
    return beginning[:GENERATED_LENGTH] + "".join(secrets.choice(SUFFIX) for _ in range(SUFFIX_LENGTH))


def prepare_create(resource: Resource, item: Object, namespace: str, options: WriteOptions) -> Object:
    """The object to store, from a named object that ``admission.decode`` returned. Raises failures.Failure."""
    placed = _placed(resource, item["metadata"], namespace)
    metadata = {name: value for name, value in placed.items() if name not in (*OWNED, "resourceVersion")}
    # Never from the body: dependents are found by the uid of their owner, so two objects must not share one.
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": times.now()}
    if resource.has_generation:
        metadata["generation"] = 1
    item = {**item, "metadata": metadata}
    if resource.has_status and not options.keeps_status:
        # A manifest with a pasted status must not look like something that a controller observed.
        item.pop("status", None)
    item = admission.admit(resource, item, None)
    # ``prepare`` may set a status, such as the phase of a namespace; its creator does not own that.
    given = {name: value for name, value in item.items() if name not in resource.fields_kept_by("")}
    return with_managers(item, _managers({}, resource, {}, given, options))


def prepare_update(resource: Resource, old: Object, item: Object, options: WriteOptions) -> Object:
    """The object that replaces ``old``, with the changes that ``options.subresource`` allows."""
    new = prepare_replacement(resource, old, item, options)
    given = item["metadata"]
    # A client that omits managedFields keeps the stored ones; one that sends an empty list clears them.
    before = managers.read(given if given.get("managedFields") is not None else old["metadata"])
    return with_managers(new, _managers(before, resource, old, new, options))


def prepare_replacement(resource: Resource, old: Object, item: Object, options: WriteOptions) -> Object:
    """As ``prepare_update``, without updating managers. Raises failures.Failure."""
    metadata = item["metadata"]
    _check_identity(resource, old, metadata)
    item = _writable(resource, old, item, options.subresource)
    # As Kubernetes does for custom resources: a controller that writes a status cannot undo a label.
    if options.subresource == "status" and resource.status_write_keeps_metadata:
        metadata = old["metadata"]
    kept = {field: old["metadata"][field] for field in OWNED if field in old["metadata"]}
    desired = {name: value for name, value in metadata.items() if name not in OWNED}
    # A patch may have removed all metadata.
    # The old resourceVersion as well: it is compared before the write, and must not make an unchanged object differ.
    kept |= {
        field: old["metadata"][field] for field in ("name", "namespace", "resourceVersion") if field in old["metadata"]
    }
    item = admission.admit(resource, {**item, "metadata": {**desired, **kept}}, old)
    # After admission: defaults that complete the body to what is stored are no change.
    if resource.has_generation and not identical(_requested(item, resource), _requested(old, resource)):
        generation = old["metadata"].get("generation", 0) + 1
        item = {**item, "metadata": {**item["metadata"], "generation": generation}}
    return item


def with_managers(item: Object, owned: Managers) -> Object:
    """The object with these managers in its metadata."""
    rest = {name: value for name, value in item["metadata"].items() if name != "managedFields"}
    entries = managers.write(owned)
    return {**item, "metadata": {**rest, "managedFields": entries} if entries else rest}


def has_finalizers(item: Object) -> bool:
    """Whether the object has finalizers; a namespace also has some in its spec."""
    # Kubernetes keeps a deleted namespace by spec.finalizers, until its content is gone.
    of_namespace = item.get("kind") == "Namespace" and item.get("apiVersion") == "v1"
    return bool(item["metadata"].get("finalizers") or (of_namespace and item.get("spec", {}).get("finalizers")))


def is_removable(item: Object) -> bool:
    """Whether the object is marked for deletion and has no finalizers left."""
    return "deletionTimestamp" in item["metadata"] and not has_finalizers(item)


def _placed(resource: Resource, metadata: Object, namespace: str) -> Object:
    """The metadata with the namespace of the request. Raises failures.Failure (400) when it names another."""
    if not resource.namespaced:
        return {key: value for key, value in metadata.items() if key != "namespace"}
    if (metadata.get("namespace") or namespace) != namespace:
        raise failures.bad_request(OTHER_NAMESPACE)
    return {**metadata, "namespace": namespace}


def _check_identity(resource: Resource, old: Object, metadata: Object) -> None:
    name = old["metadata"]["name"]
    check_name(metadata, name)
    namespace = old["metadata"].get("namespace", "")
    if resource.namespaced and (metadata.get("namespace") or namespace) != namespace:
        raise failures.bad_request(OTHER_NAMESPACE)
    # Before the resourceVersion: an object that was deleted and created again is another one, not a newer version.
    if (uid := metadata.get("uid")) and uid != old["metadata"]["uid"]:
        raise failures.precondition(resource, name, "uid", uid, old["metadata"]["uid"])
    if (version := metadata.get("resourceVersion")) and version != old["metadata"]["resourceVersion"]:
        raise failures.conflict(resource, name)
    if not version and not resource.allows_unconditional_update:
        raise failures.version_required(resource, name)
    if "deletionTimestamp" in old["metadata"]:
        _check_finalizers(resource, old, metadata)


def check_name(metadata: Object, name: str) -> None:
    """Raise failures.Failure (400) if the metadata has another name than the URL."""
    if (given := metadata.get("name") or name) != name:
        raise failures.bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")


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


def _writable(resource: Resource, old: Object, item: Object, subresource: str) -> Object:
    """The new object with the fields that this subresource may write; the rest comes from the old one."""
    part = resource.subresource(subresource)
    if part is not None and part.writes:
        return _with(old, item, {part.writes})
    return _with(item, old, resource.fields_kept_by(subresource))


def _with(item: Object, source: Object, fields: Collection[str]) -> Object:
    """The object with these fields taken from ``source``, or removed when it lacks them."""
    rest = {name: value for name, value in item.items() if name not in fields}
    return rest | {name: source[name] for name in fields if name in source}


def _requested(item: Object, resource: Resource) -> Object:
    # Without the apiVersion: the same object written in another version is no change of the desired state.
    skipped = {"metadata", "status", "apiVersion"} if resource.has_status else {"metadata", "apiVersion"}
    return {k: v for k, v in item.items() if k not in skipped}


def _managers(before: Managers, resource: Resource, old: Object, new: Object, options: WriteOptions) -> Managers:
    manager = Manager(options.manager, managers.UPDATE, resource.api_version, options.subresource)
    return managers.after_update(before, manager, old, new, resource.structural_schema, times.now())
