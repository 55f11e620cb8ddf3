"""The store of the embedded API: every revision a row in SQLite, the current objects in memory.

The row id is the revision. A write is committed with ``synchronous=FULL`` in a thread of its own before it becomes
visible; then the index and the watchers see it, in order. Nothing here knows what an object means.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from controller import errors

Object = dict[str, Any]

HISTORY = 2000  # revisions that a watch can go back
COMPACT_EVERY = 500  # writes between two compactions
SUBSCRIBER_LIMIT = 1000  # events a slow watcher may lag behind before it is dropped

SCHEMA = """
CREATE TABLE IF NOT EXISTS revisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    resource TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    object TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_key ON revisions (resource, namespace, name, id);
"""


class Key(NamedTuple):
    """An object's place: ``plural.group``, namespace ("" for cluster scope), name."""

    resource: str
    namespace: str
    name: str


class Change(NamedTuple):
    """One committed write. ``before`` is the object it replaced, None when it was created."""

    revision: int
    key: Key
    type: str  # ADDED, MODIFIED or DELETED
    object: Object
    before: Object | None


class Subscription:
    """A watcher's queue of changes; ``lost`` once it lagged too far behind."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Change] = asyncio.Queue(SUBSCRIBER_LIMIT)
        self.lost = False

    def offer(self, change: Change) -> None:
        """Never waits: a slow watcher is dropped, and lists again."""
        try:
            self.queue.put_nowait(change)
        except asyncio.QueueFull:
            self.lost = True


class Store:
    """One database. All methods but ``open`` and ``close`` are called in the event loop."""

    def __init__(self, path: Path, history: int = HISTORY) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._history: deque[Change] = deque(maxlen=history)
        self._subscriptions: set[Subscription] = set()
        self._lock = asyncio.Lock()
        self.revision = 0
        self._oldest = 0
        self._writes = 0

    async def open(self) -> None:
        """Load the current objects. Raises errors.SettingError when the file is damaged."""
        loop = asyncio.get_running_loop()
        try:
            rows = await loop.run_in_executor(self._thread, self._load)
        except sqlite3.DatabaseError as error:
            raise errors.SettingError(
                f"the database {self._path} is damaged ({error}): restore a backup of it, or move it away to begin anew"
            ) from error
        for revision, key, text in rows:
            self._objects.setdefault(key.resource, {})[key.namespace, key.name] = json.loads(text)
            self.revision = max(self.revision, revision)
        self._oldest = self.revision

    async def close(self) -> None:
        """Close the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown(wait=False)

    def get(self, key: Key) -> Object | None:
        """The current object; the caller must not change it."""
        return self._objects.get(key.resource, {}).get((key.namespace, key.name))

    def select(self, resource: str, namespace: str) -> list[Object]:
        """The current objects in order of namespace and name; "" means all namespaces."""
        found = self._objects.get(resource, {})
        return [found[place] for place in sorted(found) if not namespace or place[0] == namespace]

    async def write(self, key: Key, change: Callable[[Object | None], Object | None]) -> tuple[Object, bool]:
        """Replace the object by what ``change`` makes of the current one; None deletes it.

        Returns the object (with its new resourceVersion) and whether anything was written: an unchanged object is
        not. What ``change`` raises is raised here.
        """
        # A client that goes away must not leave a row that the index does not know of.
        return await asyncio.shield(asyncio.create_task(self._write(key, change)))

    async def _write(self, key: Key, change: Callable[[Object | None], Object | None]) -> tuple[Object, bool]:
        async with self._lock:
            before = self.get(key)
            after = change(before)
            if after is None and before is not None:
                return await self._commit(key, before, before, "DELETED"), True
            if after is None:
                raise ValueError("an object that does not exist cannot be deleted")
            if after == before:
                return before, False
            return await self._commit(key, before, after, "MODIFIED" if before else "ADDED"), True

    def changes_since(self, revision: int) -> Iterator[Change] | None:
        """The changes after a revision, or None when it is compacted."""
        if revision < self._oldest or revision > self.revision:
            return None
        return (change for change in list(self._history) if change.revision > revision)

    def subscribe(self) -> Subscription:
        """See every change from now on."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop seeing changes."""
        self._subscriptions.discard(subscription)

    async def _commit(self, key: Key, before: Object | None, after: Object, type_: str) -> Object:
        revision = self.revision + 1
        after = {**after, "metadata": {**after["metadata"], "resourceVersion": str(revision)}}
        text = json.dumps(after, separators=(",", ":"))
        loop = asyncio.get_running_loop()
        deleted = type_ == "DELETED"
        try:
            await loop.run_in_executor(self._thread, self._insert, revision, key, deleted, text)
        except sqlite3.Error as error:
            raise errors.EdgeError(
                f"nothing was written: {self._path} cannot be written ({error}); free disk space"
            ) from error
        self.revision = revision
        place = (key.namespace, key.name)
        if deleted:
            del self._objects[key.resource][place]
        else:
            self._objects.setdefault(key.resource, {})[place] = after
        self._publish(Change(revision, key, type_, after, before))
        return after

    def _publish(self, change: Change) -> None:
        if len(self._history) == self._history.maxlen:
            self._oldest = self._history[0].revision
        self._history.append(change)
        for subscription in self._subscriptions:
            subscription.offer(change)

    def _load(self) -> list[tuple[int, Key, str]]:
        new = not self._path.exists()
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        if new:
            self._path.chmod(0o600)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        (verdict,) = self._connection.execute("PRAGMA quick_check").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        self._connection.executescript(SCHEMA)
        self._compact()
        rows = self._connection.execute("SELECT id, resource, namespace, name, object FROM revisions WHERE NOT deleted")
        found = [(row[0], Key(*row[1:4]), row[4]) for row in rows]
        (last,) = self._connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
        self.revision = last
        return found

    def _insert(self, revision: int, key: Key, deleted: bool, text: str) -> None:
        self._connection.execute(
            "INSERT INTO revisions (id, resource, namespace, name, deleted, object) VALUES (?, ?, ?, ?, ?, ?)",
            (revision, *key, deleted, text),
        )
        self._writes += 1
        if self._writes % COMPACT_EVERY == 0:
            self._compact()

    def _compact(self) -> None:
        """Keep the newest row of each key; a deletion needs no row at all (AUTOINCREMENT remembers the revision)."""
        self._connection.execute(
            "DELETE FROM revisions WHERE id NOT IN (SELECT max(id) FROM revisions GROUP BY resource, namespace, name)"
        )
        self._connection.execute("DELETE FROM revisions WHERE deleted")
