"""Writes that share one commit, and so one flush to disk. In the store's thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from controller.apiserver import texts
from controller.apiserver.equality import identical
from controller.apiserver.storage.reserve import Urgency
from controller.apiserver.storage.rows import Key, Row, Rows
from controller.apiserver.texts import Stored

Object = dict[str, Any]

UNCHANGED = "UNCHANGED"


class Change(NamedTuple):
    """One committed write. ``before`` is the object it replaced; None if the object is new."""

    revision: int
    key: Key
    type: str  # ADDED, MODIFIED or DELETED; UNCHANGED if there was nothing to write
    object: Object
    before: Object | None


class Outcome:
    """The results of the writes of one request, or what the first of them that failed raised."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.error: BaseException | None = None

    def __enter__(self) -> Outcome:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        """Catch what concerns this request only; an error of the database or the disk concerns the whole group."""
        self.error = error
        return isinstance(error, Exception) and not isinstance(error, (sqlite3.Error, OSError))

    def resolve(self, done: asyncio.Future[list[Any]]) -> None:
        """Give the caller its results or its exception."""
        if self.error is None:
            done.set_result(self.results)
        else:
            done.set_exception(self.error)


class Committed(NamedTuple):
    """A group that is on disk: its changes, and the outcomes of its requests."""

    changes: Sequence[Change]
    outcomes: Sequence[Outcome]


class Group:
    """Writes in their order: each sees the objects as those before it leave them. Nothing is written before ``commit``.

    ``stored`` returns the object on disk; ``revision`` is the last one there.
    """

    def __init__(self, stored: Callable[[Key], Object | None], revision: int, rows: Rows) -> None:
        self.changes: list[Change] = []
        self._stored = stored
        self._revision = revision
        self._rows = rows
        self._inserts: list[Row] = []
        self._latest: dict[Key, Object | None] = {}

    @property
    def next_revision(self) -> int:
        """The revision of the next change."""
        return self._revision + len(self.changes) + 1

    def get(self, key: Key) -> Object | None:
        """The object after the writes so far."""
        return self._latest[key] if key in self._latest else self._stored(key)

    def run(self, writes: Sequence[tuple[Key, Callable[[Transaction], Any]]]) -> Outcome:
        """Run the writes of one request, all or none of which take effect. Raises sqlite3.Error and OSError."""
        kept = len(self.changes)
        with Outcome() as outcome:
            outcome.results += [work(Transaction(key, self)) for key, work in writes]
        if outcome.error:
            del self.changes[kept:], self._inserts[kept:]
            self._latest = {change.key: _after(change) for change in self.changes}
        return outcome

    def add(self, change: Change, urgency: Urgency) -> None:
        """Add a change. Raises errors.DiskFullError if the disk is too full for it."""
        deleted, previous = change.type == "DELETED", _revision(change.before)
        row = Row(change.revision, change.key, deleted, texts.of(change.object), previous=previous)
        self._rows.admit([*self._inserts, row], urgency)
        self._inserts.append(row)
        self.changes.append(change)
        self._latest[change.key] = _after(change)

    def commit(self) -> None:
        """Write all changes; they are on disk when this returns. Raises sqlite3.Error."""
        if self._inserts:
            self._rows.insert(self._inserts)


class Transaction:
    """One write of one object."""

    def __init__(self, key: Key, group: Group) -> None:
        found = group.get(key)
        # Must not be changed. A plain dictionary, as in a body: merges and CEL compare types.
        self.current = None if found is None else dict(found)
        self.get = group.get
        self.pending: Sequence[Change] = group.changes
        """The changes of the writes before this one that are not on disk yet, in their order."""
        self._key = key
        self._group = group

    def commit(self, after: Object | None, urgency: Urgency = Urgency.ORDINARY, *, dry: bool = False) -> Change:
        """Replace the object; None deletes it. Writes nothing if it is unchanged or with ``dry``. Call at most once.

        ``urgency`` decides whether the write may use the reserve on a full disk. Raises errors.DiskFullError.
        """
        done = self._change(after)
        # An unchanged write creates no revision, as in Kubernetes: clients
        # that repeat a status must not wake every watcher.
        if done.type != UNCHANGED and not dry:
            revision = self._group.next_revision
            item = _at(revision, done.object)
            done = done._replace(revision=revision, object=Stored(item, texts.encoded(item)))
            self._group.add(done, urgency)
        return done

    def _change(self, after: Object | None) -> Change:
        """The change before it is written: at the revision before it."""
        before = self.current
        item = before if after is None else after
        if item is None:
            raise ValueError("an object that does not exist cannot be deleted")
        kind = "DELETED" if after is None else "ADDED" if before is None else "MODIFIED"
        unchanged = identical(after, before)
        return Change(self._group.next_revision - 1, self._key, UNCHANGED if unchanged else kind, item, before)


def _after(change: Change) -> Object | None:
    return None if change.type == "DELETED" else change.object


def _revision(item: Object | None) -> int | None:
    return int(item["metadata"]["resourceVersion"]) if item else None


def _at(revision: int, item: Object) -> Object:
    # Copied, never changed in place: watchers and readers in other threads hold stored objects without a lock.
    return {**item, "metadata": {**item["metadata"], "resourceVersion": str(revision)}}
