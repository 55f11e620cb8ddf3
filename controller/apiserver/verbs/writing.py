"""The write verbs on any resource: create, update, patch, apply, delete."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from controller.apiserver import failures, times
from controller.apiserver.kinds.core import NAMESPACES
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects import (
    admission,
    apply,
    deletions,
    fieldsets,
    managers,
    metadata,
    patches,
    strategic,
    strategy,
)
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.managers import Manager, Managers
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.schemas.causes import Cause
from controller.apiserver.storage.store import Key, Store, Transaction
from controller.apiserver.verbs import urgency
from controller.apiserver.verbs.presentation import shown

Object = dict[str, Any]
Work = Callable[[Transaction], "Written"]
Advice = Callable[[Resource, Object], list[str]]
"""Computes warnings for the writer of an object."""

NAME_ATTEMPTS = 7  # further attempts if a generated name is taken

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
_PATCH_CODES = {patches.MalformedPatchError: 400, patches.TooManyOperationsError: 413}


class Written(NamedTuple):
    """The result of a write, for the response."""

    object: Object  # in its stored form
    warnings: list[str]
    type: str  # as in store.Change

    @property
    def created(self) -> bool:
        """Whether the object is new."""
        return self.type == "ADDED"


class ResourceRef(NamedTuple):
    """One object of a resource; the name is "" for a collection."""

    resource: Resource
    namespace: str
    name: str = ""

    @property
    def key(self) -> Key:
        """Where it is stored."""
        return Key(self.resource.key, self.namespace if self.resource.namespaced else "", self.name)

    def includes(self, key: Key) -> bool:
        """Whether a collection contains the object that is stored there."""
        return key.resource == self.resource.key and self.namespace in ("", key.namespace)


class Step(NamedTuple):
    """A write, or a check before the next ones, that is yet to run."""

    ref: ResourceRef
    work: Callable[[Transaction], Any]
    options: WriteOptions = WriteOptions()


class Verbs:
    """The write operations of the API on one store. Raises failures.Failure and errors.ApiUnavailableError.

    ``advice``: warnings of an application about its own resources, by the key of the resource.
    """

    def __init__(self, store: Store, advice: Mapping[str, Advice] = MappingProxyType({})) -> None:
        self._store = store
        self._advice = advice

    async def create(self, ref: ResourceRef, body: Any, options: WriteOptions) -> Written:
        """Create; the body gives the name or a ``generateName``."""
        for _ in range(0 if strategy.metadata_string(body, "name") else NAME_ATTEMPTS):
            with contextlib.suppress(failures.AlreadyExists):  # try another generated name
                return await self._create(ref, body, options)
        # The last attempt, whose conflict is reported; the only one for an object with a name.
        return await self._create(ref, body, options)

    async def _create(self, ref: ResourceRef, body: Any, options: WriteOptions) -> Written:
        return await self._write(*creation(ref, body, options))

    async def update(self, ref: ResourceRef, body: Any, options: WriteOptions) -> Written:
        """Replace the object with the body."""
        given = strategy.metadata_string(body, "name")
        if not given:
            why = f"the name of the object ({ref.name} based on URL) was undeterminable: name must be provided"
            raise failures.bad_request(why)
        strategy.check_name({"name": given}, ref.name)
        if ref.resource.creates_on_update and self._store.get(ref.key) is None:
            return await self.create(ref, body, options)
        return await self.change(ref, lambda _: body, options)

    async def patch(self, ref: ResourceRef, patch: Any, kind: str, options: WriteOptions) -> Written:
        """Patch by content type."""
        # As in Kubernetes: strategic merges need the merge keys of Go types, which custom resources lack.
        if kind == STRATEGIC_PATCH and ref.resource.schema is not None:
            raise failures.unsupported_media((JSON_PATCH, MERGE_PATCH))
        return await self.change(ref, partial(patched, ref.resource, patch=patch, kind=kind), options)

    async def change(self, ref: ResourceRef, make: Callable[[Object], Any], options: WriteOptions) -> Written:
        """Replace the object with what ``make`` returns for it."""
        return await self._write(ref, partial(_replace, ref, make, options), options)

    async def apply(self, ref: ResourceRef, body: Any, options: WriteOptions) -> Written:
        """Server-side apply; creates the object if it does not exist."""
        return await self._write(ref, partial(self._apply, ref, body, options), options)

    def _apply(self, ref: ResourceRef, body: Any, options: WriteOptions, write: Transaction) -> Written:
        resource, current = ref.resource, write.current
        typed, warnings = admission.decode_applied(resource, body, options)
        strategy.check_name(typed["metadata"], ref.name)
        config = _applicable(ref, typed, options.subresource)
        if current is None and options.subresource:
            raise failures.not_found(resource, ref.name)
        live = shown(resource, current) if current else {}
        merged, owned = _merged(ref, live, config, options)
        if current is None:
            _check_accepts_objects(ref, write)
            item = strategy.prepare_create(resource, merged, ref.namespace, options)
        else:
            item = strategy.prepare_replacement(resource, current, merged, options)
        return _commit(write, resource, strategy.with_managers(item, owned), options, warnings)

    async def delete(self, ref: ResourceRef, request: Deletion, options: WriteOptions) -> Written:
        """Delete, or mark for deletion while finalizers remain."""
        return await self._write(ref, partial(_mark_deleted, ref, request, options), options)

    async def together(self, writes: Sequence[Step], checks: Sequence[Step] = ()) -> list[Written]:
        """Run several writes after some checks, all or none of which take effect."""
        done = await self._store.write_together([(step.ref.key, step.work) for step in (*checks, *writes)])
        return done[len(checks) :]

    async def release(self, ref: ResourceRef, without: Callable[[Object], Object]) -> None:
        """Drop the server's own finalizers of a deleted object by ``without``; removes it if no others remain."""
        await self._write(ref, partial(_release, ref, without), WriteOptions())

    async def _write(self, ref: ResourceRef, work: Work, options: WriteOptions) -> Written:
        written = await self._store.write(ref.key, work)
        # Advice must not prevent a write: GitOps tools create the new object before they prune the old one.
        return written._replace(warnings=[*written.warnings, *self._advised(ref, written.object, options)])

    def _advised(self, ref: ResourceRef, written: Object, options: WriteOptions) -> list[str]:
        advise = self._advice.get(ref.resource.key)
        if advise is None or options.subresource or "deletionTimestamp" in written["metadata"]:
            return []
        return advise(ref.resource, written)


def creation(ref: ResourceRef, body: Any, options: WriteOptions) -> Step:
    """Create the object in the body."""
    ref = ref._replace(name=strategy.name_of(body))
    return Step(ref, partial(_create, ref, body, options), options)


def merge(ref: ResourceRef, patch: Any, options: WriteOptions) -> Step:
    """Merge the patch into the object."""
    make = partial(patched, ref.resource, patch=patch, kind=MERGE_PATCH)
    return Step(ref, partial(_replace, ref, make, options), options)


def _create(ref: ResourceRef, body: Any, options: WriteOptions, write: Transaction) -> Written:
    typed, warnings = admission.decode(ref.resource, body, options)
    # The order of kube-apiserver decides which fault is reported: namespace, validation, then a name that is taken.
    _check_accepts_objects(ref, write)
    typed["metadata"]["name"] = ref.name
    item = strategy.prepare_create(ref.resource, typed, ref.namespace, options)
    if write.current is not None:
        raise failures.already_exists(ref.resource, ref.name)
    return _commit(write, ref.resource, item, options, warnings)


def _replace(ref: ResourceRef, make: Callable[[Object], Any], options: WriteOptions, write: Transaction) -> Written:
    """Read, change (e.g. patch), admit, commit."""
    current = _existing(ref, write)
    body = make(shown(ref.resource, current))
    typed, warnings = admission.decode(ref.resource, body, options)
    item = strategy.prepare_update(ref.resource, current, typed, options)
    return _commit(write, ref.resource, item, options, warnings)


def _mark_deleted(ref: ResourceRef, request: Deletion, options: WriteOptions, write: Transaction) -> Written:
    current = _existing(ref, write)
    deletions.check(ref.resource, current, request)
    return _commit(write, ref.resource, deletions.mark_deleted(ref.resource, current, request), options)


def _release(ref: ResourceRef, without: Callable[[Object], Object], write: Transaction) -> Written:
    return _commit(write, ref.resource, without(_existing(ref, write)), WriteOptions())


def _check_accepts_objects(ref: ResourceRef, write: Transaction) -> None:
    """Raise failures.Failure unless the resource and the namespace accept new objects."""
    if ref.resource.terminating:
        why = "create not allowed while custom resource definition is terminating"
        raise failures.Failure(405, "MethodNotAllowed", why)
    if not ref.resource.namespaced:
        return
    # Within the transaction: a create under way must not add to a namespace whose deletion has begun.
    found = write.get(ResourceRef(NAMESPACES, "", ref.namespace).key)
    if found is None:
        raise failures.not_found(NAMESPACES, ref.namespace)
    if "deletionTimestamp" in found["metadata"]:
        message = f"namespace {ref.namespace} is being terminated"
        why = f"unable to create new content in namespace {ref.namespace} because it is being terminated"
        cause = Cause("NamespaceTerminating", message, "metadata.namespace")
        raise failures.forbidden(ref.resource, ref.name, why, cause)


def _existing(ref: ResourceRef, write: Transaction) -> Object:
    if write.current is None:
        raise failures.not_found(ref.resource, ref.name)
    return write.current


def _commit(
    write: Transaction, resource: Resource, made: Object, options: WriteOptions, warnings: Sequence[str] = ()
) -> Written:
    """Store the object, or remove it if nothing holds it any longer."""
    before = write.current
    after = None if strategy.is_removable(made) else made
    done = write.commit(after, urgency.of(resource, options, before, after), dry=options.dry)
    # The client that removed the last finalizer gets its result; watchers get the last stored version.
    written = made if done.type == "DELETED" else done.object
    if options.subresource != "status":
        warnings = [*warnings, *metadata.warnings(resource, made["metadata"], before["metadata"] if before else None)]
    return Written(written, [*warnings], done.type)


def _merged(ref: ResourceRef, live: Object, config: Object, options: WriteOptions) -> tuple[Object, Managers]:
    """The live object with the applied configuration, and its managers. Raises failures.Failure (409)."""
    resource = ref.resource
    manager = Manager(options.manager, managers.APPLY, resource.api_version, options.subresource)
    try:
        return apply.apply(live, config, manager, resource.structural_schema, times.now(), force=options.force)
    except apply.Conflicts as conflicts:
        message, causes = apply.message(conflicts), apply.causes(conflicts)
        raise failures.apply_conflict(resource, ref.name, message, causes) from conflicts


def patched(resource: Resource, current: Object, patch: Any, kind: str) -> Any:
    """The object after a patch of this content type. Raises failures.Failure (400, 413, 422)."""
    try:
        if kind == STRATEGIC_PATCH:
            return strategic.merge(current, patch, fieldsets.with_metadata(resource.structural_schema))
        return patches.apply_json(current, patch) if kind == JSON_PATCH else patches.merge(current, patch)
    except patches.PatchError as error:
        raise failures.unusable_patch(_PATCH_CODES.get(type(error), 422), error) from error


def _applicable(ref: ResourceRef, item: Object, subresource: str) -> Object:
    """The part of an applied configuration that the (sub)resource writes. Raises failures.Failure (400)."""
    resource = ref.resource
    if item["metadata"].get("managedFields"):
        raise failures.bad_request("metadata.managedFields must be nil")
    metadata = {**item["metadata"], "name": item["metadata"].get("name") or ref.name}
    part = resource.subresource(subresource)
    if subresource == "status" and resource.status_write_keeps_metadata:
        metadata = {key: value for key, value in metadata.items() if key in ("name", "uid", "resourceVersion")}
    if part is not None and part.writes:
        return {"metadata": metadata, **({part.writes: item[part.writes]} if part.writes in item else {})}
    rest = {name: value for name, value in item.items() if name not in resource.fields_kept_by(subresource)}
    return {**rest, "metadata": metadata}
