"""Validates metadata with Kubernetes' own messages (apimachinery: ValidateObjectMeta). Pure.

Kubernetes refuses an invalid label even when an update does not change it. Here an object that was stored with one
stays writable: only new faults count (decision 141).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from controller.apiserver.kinds.resources import Resource
from controller.apiserver.schemas import identifiers
from controller.apiserver.schemas.causes import Cause, invalid, required, too_long

Object = dict[str, Any]

ANNOTATIONS_BYTES = 256 << 10
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
STANDARD_FINALIZERS = (ORPHAN, FOREGROUND, "kubernetes")
CLASHING = f"finalizer {ORPHAN} and {FOREGROUND} cannot be both set"
UNQUALIFIED = "name is neither a standard finalizer name nor is it fully qualified"
REFERENCE = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")


def faults(resource: Resource, new: Object, old: Object | None) -> list[Cause]:
    """The faults of new metadata; ``old`` is the metadata of the stored object, None on create."""
    if old is None:
        return [*_names(resource.validate_name, new), *_parts(new), *_of_finalizers(resource, new)]
    # Kubernetes validates the finalizers of a custom resource on create, and only warns about them on update.
    validate = (
        (lambda one: [*_parts(one), *_of_finalizers(resource, one)])
        if resource.requires_qualified_finalizers
        else _parts
    )
    # A cause contains the value: an invalid label that becomes another invalid one is a new fault.
    before = set(validate(old))
    return [cause for cause in validate(new) if cause not in before]


def embedded_faults(metadata: Object) -> list[Cause]:
    """The faults of the metadata of an embedded resource, which needs no name, and whose kind may be any."""
    named = {**metadata, "name": metadata.get("name") or "unnamed"}
    found = [*_names(identifiers.path_segment, named), *_parts(metadata), *_finalizers(metadata)]
    if namespace := metadata.get("namespace"):
        found += [invalid("metadata.namespace", namespace, why) for why in identifiers.dns_label(namespace)]
    if (generation := metadata.get("generation") or 0) < 0:
        found.append(invalid("metadata.generation", generation, "must be greater than or equal to 0"))
    return found


def warnings(resource: Resource, new: Object, old: Object | None) -> list[str]:
    """Warnings about the finalizers of a custom resource."""
    if resource.schema is None:
        return []
    added = set(new.get("finalizers") or ()) - set((old or {}).get("finalizers") or ())
    return [f"metadata.finalizers: {_shown(name)}: {why}" for name in sorted(added) for why in _advice(name)]


def _advice(name: str) -> Iterator[str]:
    yield from identifiers.label_key(name)
    if "/" not in name and name not in STANDARD_FINALIZERS:
        wanted = "finalizer name including a path (/)" if "." in name else "finalizer name"
        yield f"prefer a domain-qualified {wanted} to avoid accidental conflicts with other finalizer writers"


def _names(validate: Callable[[str], list[str]], metadata: Object) -> Iterator[Cause]:
    name, beginning = metadata.get("name") or "", metadata.get("generateName") or ""
    if beginning:
        # The generated suffix follows a trailing dash, so the name is valid.
        masked = f"{beginning[:-2]}a" if len(beginning) > 1 and beginning.endswith("-") else beginning
        yield from (invalid("metadata.generateName", beginning, why) for why in validate(masked))
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from (invalid("metadata.name", name, why) for why in validate(name))


def _parts(metadata: Object) -> list[Cause]:
    return [*_labels(metadata), *_annotations(metadata), *_owners(metadata.get("ownerReferences") or [])]


def _labels(metadata: Object) -> Iterator[Cause]:
    for key, value in (metadata.get("labels") or {}).items():
        yield from (invalid("metadata.labels", key, why) for why in identifiers.label_key(key))
        yield from (invalid("metadata.labels", value, why) for why in identifiers.label_value(value))


def _annotations(metadata: Object) -> Iterator[Cause]:
    found = metadata.get("annotations") or {}
    for key in found:
        # Kubernetes lowers the key before it validates an annotation, so capitals in its prefix are accepted.
        yield from (invalid("metadata.annotations", key, why) for why in identifiers.label_key(key.lower()))
    if sum(identifiers.size(key) + identifiers.size(value) for key, value in found.items()) > ANNOTATIONS_BYTES:
        yield too_long("metadata.annotations", ANNOTATIONS_BYTES)


def _owners(references: list[Object]) -> Iterator[Cause]:
    first = ""
    for reference in references:
        yield from _owner({name: reference[name] for name in REFERENCE if reference.get(name) is not None})
        if not reference.get("controller"):
            continue
        named = f"{reference.get('kind') or ''}/{reference.get('name') or ''}"
        if first:
            why = f'Found "true" in references for {first} and {named}'
            why = f"Only one reference can have Controller set to true. {why}"
            yield Cause("FieldValueInvalid", f"Invalid value: {_shown(references)}: {why}", "metadata.ownerReferences")
        # The first controller is named in every message, as in Kubernetes.
        first = first or named


def _owner(reference: Object) -> Iterator[Cause]:
    field = "metadata.ownerReferences"
    version = reference.get("apiVersion", "")
    if not version or version.count("/") > 1 or version.endswith("/"):
        yield invalid(f"{field}.apiVersion", version, "version must not be empty")
    for name in ("kind", "name", "uid"):
        if not reference.get(name):
            yield invalid(f"{field}.{name}", "", "must not be empty")
    # Kubernetes bans Events as owners: they expire, and their dependents would go with them.
    if (version.removeprefix("/"), reference.get("kind")) == ("v1", "Event"):
        why = "/v1, Kind=Event is disallowed from being an owner"
        yield Cause("FieldValueInvalid", f"Invalid value: {_shown(reference)}: {why}", field)


def _of_finalizers(resource: Resource, metadata: Object) -> Iterator[Cause]:
    yield from _finalizers(metadata)
    if resource.requires_qualified_finalizers:
        for index, name in enumerate(metadata.get("finalizers") or []):
            if "/" not in name and name not in STANDARD_FINALIZERS:
                yield invalid(f"metadata.finalizers[{index}]", name, UNQUALIFIED)


def _finalizers(metadata: Object) -> Iterator[Cause]:
    field, names = "metadata.finalizers", metadata.get("finalizers") or []
    for name in names:
        yield from (invalid(field, name, why) for why in identifiers.label_key(name))
    if {ORPHAN, FOREGROUND} <= set(names):
        yield Cause("FieldValueInvalid", f"Invalid value: {_shown(names)}: {CLASHING}", field)


def _shown(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
