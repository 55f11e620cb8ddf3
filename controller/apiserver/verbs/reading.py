"""The read verbs: get and list, optionally paged at one revision. Return objects in their stored form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from controller.apiserver import failures
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects import selectors
from controller.apiserver.objects.request_options import NOW, Continue, ListOptions
from controller.apiserver.storage.store import Store, Transaction
from controller.apiserver.verbs.field_index import FieldIndexes, reader
from controller.apiserver.verbs.writing import ResourceRef

Object = dict[str, Any]


class Reading:
    """The reading operations of the API on one store. Raises failures.Failure."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._indexes = FieldIndexes(store)

    def get(self, ref: ResourceRef, least: int = 0) -> Object:
        """Get one object, at least as new as revision ``least``."""
        self._check_reached(least)
        found = self._store.get(ref.key)
        if found is None:
            raise failures.not_found(ref.resource, ref.name)
        return found

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

    async def select(self, ref: ResourceRef, options: ListOptions) -> tuple[list[Object], Object]:
        """Return the selected objects and the metadata of their list."""
        resource = ref.resource
        matches = predicate(resource, options.label, options.field)
        self._check_reached(max(options.at, options.least))
        # Fixed before anything is awaited: the items must be those of the revision in the metadata.
        revision = self._revision(options)
        items = [item for item in await self._as_of(ref, revision, options) if matches(item)]
        metadata: Object = {"resourceVersion": str(revision)}
        if options.start:
            items = [item for item in items if _position_of(item) > (options.start.namespace, options.start.name)]
        if options.limit and len(items) > options.limit:
            # As in Kubernetes, a list with selectors does not say how many items remain.
            if not options.label and not options.field:
                metadata["remainingItemCount"] = len(items) - options.limit
            items = items[: options.limit]
            metadata["continue"] = Continue(revision, *_position_of(items[-1])).encode()
        return items, metadata

    def _check_reached(self, revision: int) -> None:
        if revision > self._store.revision:
            raise failures.too_large_version(revision, self._store.revision)

    def _revision(self, options: ListOptions) -> int:
        if options.start and options.start.revision != NOW:
            return options.start.revision
        return options.at or self._store.revision

    async def _as_of(self, ref: ResourceRef, revision: int, options: ListOptions) -> list[Object]:
        if revision == self._store.revision:
            return self._indexes.select(ref.resource, ref.namespace, selectors.equalities(options.field))
        items = await self._store.select_at(revision, ref.resource.key, ref.namespace)
        # As in Kubernetes, the client may go on at the current revision if it accepts an inconsistent list.
        if items is None and options.start:
            raise failures.continue_expired(options.start._replace(revision=NOW).encode())
        if items is None:
            raise failures.list_expired()
        return items


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


def _position_of(item: Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
