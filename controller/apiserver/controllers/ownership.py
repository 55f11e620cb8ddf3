"""An index of ownerReferences of all objects by uid (API reference: OwnerReference). Pure.

Holds keys, not objects; it is only as current as the changes it has been given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controller.apiserver.storage.store import Change, Key

Object = dict[str, Any]


def references(item: Object) -> list[Object]:
    """The ownerReferences of an object."""
    return item["metadata"].get("ownerReferences") or []


def owners(item: Object | None) -> set[str]:
    """The uids of the owners of an object."""
    return {str(reference["uid"]) for reference in references(item)} if item else set()


class Ownership:
    """An index of all objects by their own uid and by those of their owners."""

    def __init__(self) -> None:
        self._places: dict[str, Key] = {}
        self._dependents: dict[str, set[Key]] = {}

    def add(self, key: Key, item: Object) -> None:
        """Index an existing object."""
        self._places[item["metadata"]["uid"]] = key
        for uid in owners(item):
            self._dependents.setdefault(uid, set()).add(key)

    def follow(self, change: Change) -> None:
        """Update the index for a change."""
        for uid in owners(change.before):
            self._forget(uid, change.key)
        if change.type == "DELETED":
            self._places.pop(change.object["metadata"]["uid"], None)
        else:
            self.add(change.key, change.object)

    def dependents(self, uid: str) -> list[Key]:
        """The objects that reference this owner."""
        return sorted(self._dependents.get(uid, ()))

    def all_dependents(self) -> set[Key]:
        """All objects that have an owner."""
        return set().union(*self._dependents.values())

    def touched(self, change: Change) -> Iterable[Key]:
        """The keys to check after a change: its old and new owners, and its dependents if it is deleted.

        Else the object itself, if it has owners or is being deleted: others need no check, and most have neither.
        """
        metadata = change.object["metadata"]
        if change.type == "DELETED":
            yield from self.dependents(metadata["uid"])
        elif references(change.object) or "deletionTimestamp" in metadata:
            yield change.key
        # Former owners as well: one that waits for its dependents may be free now.
        for owner in owners(change.before) | owners(change.object):
            if key := self._places.get(owner):
                yield key

    def _forget(self, owner: str, key: Key) -> None:
        found = self._dependents.get(owner, set())
        found.discard(key)
        # A uid is never used again: empty sets would only accumulate.
        if not found:
            self._dependents.pop(owner, None)
