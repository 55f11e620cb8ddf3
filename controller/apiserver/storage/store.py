"""The store of the embedded API: every revision a row on disk, the current objects in memory, watchers fed at once.

A write is on disk before it becomes visible; then the index and the watchers see it, in the order of revisions.
SQLite has a thread, and what makes an object runs there too: it may take a second. Nothing here knows what one means.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from controller import errors
from controller.apiserver.storage import reserve, sqlite_errors
from controller.apiserver.storage.reserve import Urgency
from controller.apiserver.storage.rows import Key, Row, Rows
from controller.disk import Disk

Object = dict[str, Any]
T = TypeVar("T")

HISTORY = 2000  # revisions that a watch or a continued list can go back
SHORT_HISTORY = 100  # while the disk is full: the rows before are space to write in
SUBSCRIBER_LIMIT = 1000  # events a slow watcher may lag behind before it is dropped

__all__ = ["Change", "Key", "Store", "Subscription"]


class Change(NamedTuple):
    """One committed write. ``before`` is the object it replaced, None when it was created."""

    revision: int
    key: Key
    type: str  # ADDED, MODIFIED or DELETED; UNCHANGED when nothing was to be written
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
    """One database. All methods are called in one event loop, but ``get`` also in a ``change`` (see ``write``)."""

    def __init__(self, path: Path, history: int = HISTORY, disk: Disk | None = None) -> None:
        self._path = path
        self._disk = disk or Disk(path.parent)
        self._retained = history
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._writes: set[asyncio.Task[Change]] = set()
        self._lock = asyncio.Lock()
        self.revision = 0
        self.last_write_ok = True  # whether the last use of the file went well; after a failure only a write tells

    async def open(self) -> None:
        """Load the current objects. Raises errors.SettingError when the file cannot be used."""
        loop = asyncio.get_running_loop()
        try:
            self._rows = await loop.run_in_executor(self._thread, Rows, self._path, self._disk)
            found = await loop.run_in_executor(self._thread, self._load)
        except (sqlite3.Error, OSError) as error:
            raise errors.SettingError(
                f"cannot open the database {self._path} ({error}): {sqlite_errors.remedy(error)}; nothing was changed"
            ) from error
        for key, item in found:
            self._objects.setdefault(key.resource, {})[key.namespace, key.name] = item
        self.revision = self._rows.last

    def _load(self) -> list[tuple[Key, Object]]:
        return [(row.key, self._read(row)) for row in self._rows.as_of(self._rows.last)]

    def _read(self, row: Row) -> Object:
        try:
            item: Object = json.loads(row.text)
        except ValueError as error:
            raise errors.SettingError(
                f"cannot read the object {'/'.join(row.key)} of the database {self._path}: {sqlite_errors.RESTORE}"
            ) from error
        return item

    async def close(self) -> None:
        """Finish the writes under way and close the file."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._rows.close)
        self._thread.shutdown(wait=False)

    def get(self, key: Key) -> Object | None:
        """The current object; the caller must not change it."""
        return self._objects.get(key.resource, {}).get((key.namespace, key.name))

    def select(self, resource: str, namespace: str) -> list[Object]:
        """The current objects in order of namespace and name; "" means all namespaces."""
        found = self._objects.get(resource, {})
        return [found[place] for place in sorted(found) if not namespace or place[0] == namespace]

    async def select_at(self, revision: int, resource: str, namespace: str) -> list[Object] | None:
        """The objects as they were at a revision, or None when it is compacted or yet to come."""
        if not self._knows(revision):
            return None
        items = await self._call(
            lambda: [json.loads(row.text) for row in self._rows.as_of(revision, resource, namespace)]
        )
        return items if self._knows(revision) else None

    async def changes(self, since: int, until: int, resource: str) -> list[Change] | None:
        """The next changes of a resource after ``since``, up to ``until``; None when they are compacted.

        Not all at once: whoever wants the rest asks again from the last one on, until there are none.
        """
        if not self._knows(since):
            return None
        if since >= until:
            return []
        found = await self._call(lambda: [_change(row) for row in self._rows.changes(since, until, resource)])
        return found if self._knows(since) else None

    async def write(
        self,
        key: Key,
        change: Callable[[Object | None], Object | None],
        urgency: Callable[[Object | None, Object | None], Urgency] = lambda *_: Urgency.ORDINARY,
        *,
        dry: bool = False,
    ) -> Change:
        """Replace the object by what ``change`` makes of the current one; None deletes it.

        An unchanged object is not written; with ``dry`` none is. What ``change`` raises is raised here. ``urgency``
        says, of what was there and what was made of it, whether that must be written on a full disk. Both run in the
        store's thread, and until they are done nothing else is written. Raises errors.DiskFullError, and
        errors.ApiUnavailableError when the disk fails. Who is cancelled while waiting has written all the same.
        """
        task = asyncio.create_task(self._write(partial(self._make, key, change, None if dry else urgency)))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    def subscribe(self) -> Subscription:
        """See every change from now on."""
        subscription = Subscription()
        self.attach(subscription.offer)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop seeing changes."""
        self._listeners.remove(subscription.offer)

    def attach(self, listener: Callable[[Change], None]) -> None:
        """Call the listener with every change, before the write that made it returns. It must not wait."""
        self._listeners.append(listener)

    def detach(self, listener: Callable[[Change], None]) -> None:
        """Call it no more."""
        self._listeners.remove(listener)

    async def compact(self) -> None:
        """Forget replaced rows beyond the history, in steps between which writes go on.

        While the disk is full most of the history goes, as what is written now needs its space.
        """
        floor = self.revision - (min(self._retained, SHORT_HISTORY) if self._disk.fault else self._retained)
        more = floor > self._rows.floor
        while more:
            more = await self._call(lambda: self._rows.compact(floor))

    async def refill(self) -> None:
        """Bring the reserve for a full disk to its size, as far as there is room."""
        await self._call(self._rows.reserve.refill)

    def _knows(self, revision: int) -> bool:
        return self._rows.floor <= revision <= self.revision

    async def _write(self, make: Callable[[], Change]) -> Change:
        async with self._lock:
            done = await self._call(make)
            if done.revision > self.revision:
                self._publish(done)
            return done

    def _make(
        self,
        key: Key,
        change: Callable[[Object | None], Object | None],
        urgency: Callable[[Object | None, Object | None], Urgency] | None,
    ) -> Change:
        """Make the object and put it on disk, in the store's thread; without an urgency it is only made."""
        before = self.get(key)
        after = change(before)
        if after is None and before is None:
            raise ValueError("an object that does not exist cannot be deleted")
        if before is not None and after == before:
            return Change(self.revision, key, "UNCHANGED", before, before)
        kind = "DELETED" if after is None else "MODIFIED" if before is not None else "ADDED"
        item: Object = after or before or {}
        if urgency is None:
            return Change(self.revision, key, kind, item, before)
        revision = self.revision + 1
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(revision)}}
        row = Row(revision, key, kind == "DELETED", json.dumps(item, separators=(",", ":")))
        self._rows.insert(row, urgency(before, after))
        return Change(revision, key, kind, item, before)

    def _publish(self, done: Change) -> None:
        self.revision, self.last_write_ok = done.revision, True
        objects, place = self._objects.setdefault(done.key.resource, {}), (done.key.namespace, done.key.name)
        if done.type == "DELETED":
            del objects[place]
        else:
            objects[place] = done.object
        for listener in self._listeners:
            listener(done)

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._checked, work)

    def _checked(self, work: Callable[[], T]) -> T:
        """Do the work in the store's thread; its failure as one that a client can be told."""
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            cause = sqlite_errors.underlying(error, self._disk.probe)
            if sqlite_errors.is_full(cause) or (sqlite_errors.may_be_space(error) and self._disk.look()):
                self._disk.refused(cause)
                raise reserve.refusal(self._disk) from error
            self.last_write_ok = False
            raise errors.ApiUnavailableError(
                f"the database {self._path} cannot be used ({error}): {sqlite_errors.remedy(cause)}",
                code=503,
                reason="ServiceUnavailable",
            ) from error


def _change(row: Row) -> Change:
    before = json.loads(row.before) if row.before else None
    kind = "DELETED" if row.deleted else "MODIFIED" if before else "ADDED"
    return Change(row.revision, row.key, kind, json.loads(row.text), before)
