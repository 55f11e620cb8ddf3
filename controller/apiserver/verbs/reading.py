"""The read verbs: get and list, optionally paged at one revision. Return objects in their stored form."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from controller.apiserver import failures
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects import selectors
from controller.apiserver.objects.request_options import NOW, Continue, ListOptions
from controller.apiserver.storage.store import Store, Transaction
from controller.apiserver.texts import Kept, Selection
from controller.apiserver.verbs.field_index import FieldIndexes, reader
from controller.apiserver.verbs.snapshots import Listed, Snapshots
from controller.apiserver.verbs.writing import ResourceRef

Object = dict[str, Any]
PARSED_IN_A_ROW = 25  # which takes a millisecond


class Advice(NamedTuple):
    """``warnings`` are those for the writer of an object, from it and those with the same value in ``field``."""

    field: str
    warnings: Callable[[Object, Iterable[Object]], list[str]]


class Reading:
    """The reading operations of the API on one store. Raises failures.Failure."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._indexes = FieldIndexes(store)
        self._snapshots = Snapshots()

    def get(self, ref: ResourceRef, least: int = 0) -> Object:
        """Get one object, at least as new as revision ``least``."""
        self._check_reached(least)
        found = self._store.get(ref.key)
        if found is None:
            raise failures.not_found(ref.resource, ref.name)
        return found

    def advised(self, advice: Advice, resource: Resource, item: Object) -> list[str]:
        """The warnings for the writer of an object."""
        return advice.warnings(item, self._indexes.like(resource, item, advice.field))

    def absence(self, ref: ResourceRef, field: str) -> Callable[[Transaction], None]:
        """A step of a transaction that raises failures.Failure (409) if an object matches the field selector."""
        matches = predicate(ref.resource, "", field)
        current = partial(self._indexes.select, ref.resource, ref.namespace, selectors.equalities(field))
        current()  # builds the index here: the step runs in the store's thread

        def check(write: Transaction) -> None:
            written = (change for change in write.pending if change.type != "DELETED" and ref.includes(change.key))
            for item in (*current(), *(change.object for change in written)):
                if matches(item):
                    raise failures.already_exists(ref.resource, item["metadata"]["name"])

        return check

    async def select(self, ref: ResourceRef, options: ListOptions) -> tuple[Selection, Object]:
        """Return the selected objects and the metadata of their list."""
        resource = ref.resource
        matches = predicate(resource, options.label, options.field)
        self._check_reached(max(options.at, options.least))
        # Fixed before anything is awaited: the items must be those of the revision in the metadata.
        revision = self._revision(options)
        listed = Listed(revision, resource.key, ref.namespace, options.field)
        found = whole = await self._as_of(ref, listed, options)
        if options.start:
            found = found.after((options.start.namespace, options.start.name))
        if options.label or options.field:
            found = await _matching(found, matches, options.limit)
        metadata: Object = {"resourceVersion": str(revision)}
        if options.limit and len(found) > options.limit:
            # As in Kubernetes, a list with selectors does not say how many items remain.
            if not options.label and not options.field:
                metadata["remainingItemCount"] = len(found) - options.limit
            found = Selection(found.kept[: options.limit])
            metadata["continue"] = Continue(revision, *found.kept[-1].place).encode()
            self._snapshots.keep(listed, whole)
        elif options.start:
            self._snapshots.drop(listed)
        return found, metadata

    def _check_reached(self, revision: int) -> None:
        if revision > self._store.revision:
            raise failures.too_large_version(revision, self._store.revision)

    def _revision(self, options: ListOptions) -> int:
        if options.start and options.start.revision != NOW:
            return options.start.revision
        return options.at or self._store.revision

    async def _as_of(self, ref: ResourceRef, listed: Listed, options: ListOptions) -> Selection:
        if self._store.knows(listed.revision) and (kept := self._snapshots.find(listed)):
            return kept
        if listed.revision == self._store.revision:
            return self._indexes.select(ref.resource, ref.namespace, selectors.equalities(options.field))
        found = await self._store.select_at(listed.revision, ref.resource.key, ref.namespace)
        # As in Kubernetes, the client may go on at the current revision if it accepts an inconsistent list.
        if found is None and options.start:
            raise failures.continue_expired(options.start._replace(revision=NOW).encode())
        if found is None:
            raise failures.list_expired()
        return found


async def _matching(found: Selection, matches: Callable[[Object], bool], limit: int) -> Selection:
    """Those that match; with a limit, at most one more than that, which says that there are more."""
    matching: list[Kept] = []
    for count, one in enumerate(found.kept, start=1):
        if matches(one.parsed()):
            matching.append(one)
        if limit and len(matching) > limit:
            break
        if count % PARSED_IN_A_ROW == 0:
            await asyncio.sleep(0)
    return Selection(matching)


def predicate(resource: Resource, label: str, field: str) -> Callable[[Object], bool]:
    """Combine both selectors into one predicate on stored objects. Raises failures.Failure for a malformed one."""
    readers: dict[str, Callable[[Object], str]] = {
        "metadata.name": lambda item: str(item["metadata"]["name"]),
        "metadata.namespace": lambda item: str(item["metadata"].get("namespace", "")),
    }
    readers |= {field.name: reader(field) for field in resource.selectable}
    try:
        by_label, by_field = selectors.labels(label), selectors.fields(field, readers)
    except selectors.SelectorError as error:
        raise failures.bad_request(str(error)) from error
    return lambda item: by_label(item) and by_field(item)
