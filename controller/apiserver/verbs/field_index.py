"""Indexes of stored objects by a selectable field, so that a selector such as spec.deviceId=X reads no others.

An index is built by the first list that needs it and follows the store from then on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from controller.apiserver.kinds.resources import Resource, Selectable
from controller.apiserver.objects import tables
from controller.apiserver.storage.store import Change, Store
from controller.apiserver.texts import Place, Selection

Object = dict[str, Any]


class FieldIndexes:
    """The indexes of one store, at most one for each field that a kind declares."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._indexes: dict[tuple[str, str], _Index] = {}

    def select(self, resource: Resource, namespace: str, equal: dict[str, str]) -> Selection:
        """The current objects that may match: all, or those with an indexed value.

        ``equal`` are values by field that a selector requires; "" as ``namespace`` means all namespaces.
        """
        for field in resource.selectable:
            if field.name in equal:
                return self._index(resource, field).find(namespace, equal[field.name])
        return self._store.select(resource.key, namespace)

    def like(self, resource: Resource, item: Object, field: str) -> Selection:
        """The current objects of all namespaces that may have the same value in the field as the item."""
        return self.select(
            resource, "", {one.name: reader(one)(item) for one in resource.selectable if one.name == field}
        )

    def _index(self, resource: Resource, field: Selectable) -> _Index:
        place = resource.key, field.name
        index = self._indexes.get(place)
        # A definition may store the field elsewhere by now.
        if index is None or index.field != field:
            if index is not None:
                self._store.detach(index.follow)
            index = self._indexes[place] = _Index(self._store, resource.key, field)
            self._store.attach(index.follow)
        return index


class _Index:
    """The places (namespace and name) of a resource's objects by the value of one field."""

    def __init__(self, store: Store, resource: str, field: Selectable) -> None:
        self.field = field
        self._store = store
        self._resource = resource
        self._read = reader(field)
        self._places: defaultdict[str, set[Place]] = defaultdict(set)
        for item in store.select(resource, ""):
            self._places[self._read(item)].add((item["metadata"].get("namespace", ""), item["metadata"]["name"]))

    def find(self, namespace: str, value: str) -> Selection:
        return self._store.pick(self._resource, namespace, self._places.get(value, ()))

    def follow(self, change: Change) -> None:
        if change.key.resource != self._resource:
            return
        place = change.key.namespace, change.key.name
        if change.before is not None:
            self._discard(self._read(change.before), place)
        if change.type != "DELETED":
            self._places[self._read(change.object)].add(place)

    def _discard(self, value: str, place: Place) -> None:
        self._places[value].discard(place)
        if not self._places[value]:
            del self._places[value]


def reader(field: Selectable) -> Callable[[Object], str]:
    """The function that returns the field's value of an object as selectors compare it."""
    paths = field.paths or (field.name,)

    def read(item: Object) -> str:
        value = next((found for path in paths for found in tables.read(item, "." + path) if found != ""), field.absent)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return read
