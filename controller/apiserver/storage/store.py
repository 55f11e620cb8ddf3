"""The store of the embedded API: revisions on disk, current objects in memory, changes pushed to watchers.

A write is on disk before it becomes visible; then the index and the watchers see it, in revision order. SQLite runs in
its own thread, and so does the work that computes a new object: it may take a second. Knows no kinds.
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
from controller.apiserver.equality import identical
from controller.apiserver.storage import reserve, sqlite_errors
from controller.apiserver.storage.reserve import Urgency
from controller.apiserver.storage.rows import Key, Row, Rows
from controller.disk import Disk

Object = dict[str, Any]
T = TypeVar("T")

HISTORY = 2000  # revisions that a watch or a continued list can go back
SHORT_HISTORY = 100  # the same while the disk is full: the space of older rows is needed for writes
UNCHANGED = "UNCHANGED"
SUBSCRIBER_LIMIT = 1000  # events by which a watcher may lag before it is dropped

__all__ = ["Change", "Key", "Store", "Subscription", "Transaction"]


class Change(NamedTuple):
    """One committed write. ``before`` is the object it replaced; None if the object is new."""

    revision: int
    key: Key
    type: str  # ADDED, MODIFIED or DELETED; UNCHANGED if there was nothing to write
    object: Object
    before: Object | None


class Transaction:
    """One write of one object, in the store's thread: all other writes wait until it ends."""

    def __init__(self, key: Key, current: Object | None, revision: int, rows: Rows) -> None:
        """``revision`` is the one that a commit creates."""
        self.current = current  # must not be changed
        self.done: Change | None = None
        self._key = key
        self._revision = revision
        self._rows = rows

    def commit(self, after: Object | None, urgency: Urgency = Urgency.ORDINARY, *, dry: bool = False) -> Change:
        """Replace the object; None deletes it. Writes nothing if it is unchanged or with ``dry``. Call at most once.

        ``urgency`` decides whether the write may use the reserve on a full disk. Raises sqlite3.Error and OSError.
        """
        self.done = self._change(after)
        # An unchanged write creates no revision, as in Kubernetes: clients
        # that repeat a status must not wake every watcher.
        if self.done.type != UNCHANGED and not dry:
            self.done = self.done._replace(revision=self._revision, object=_at(self._revision, self.done.object))
            text = json.dumps(self.done.object, separators=(",", ":"))
            self._rows.insert(Row(self._revision, self._key, after is None, text), urgency)
        return self.done

    def _change(self, after: Object | None) -> Change:
        """The change before it is written: at the revision before it."""
        before = self.current
        item = before if after is None else after
        if item is None:
            raise ValueError("an object that does not exist cannot be deleted")
        kind = "DELETED" if after is None else "ADDED" if before is None else "MODIFIED"
        return Change(self._revision - 1, self._key, UNCHANGED if identical(after, before) else kind, item, before)


class Subscription:
    """A watcher's queue of changes; ``lost`` is set once it lags too far behind."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Change] = asyncio.Queue(SUBSCRIBER_LIMIT)
        self.lost = False

    def offer(self, change: Change) -> None:
        """Enqueue a change without waiting: a watcher that is too slow is dropped and must list again."""
        try:
            self.queue.put_nowait(change)
        except asyncio.QueueFull:
            self.lost = True


class Store:
    """One database. Call its methods in one event loop only, except ``get`` within a write."""

    def __init__(self, path: Path, history: int = HISTORY, disk: Disk | None = None) -> None:
        self._path = path
        self._disk = disk or Disk(path.parent)
        self._retained = history
        # One thread: an sqlite3 connection belongs to the thread that created
        # it, and one writer makes revisions sequential.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._listeners: list[Callable[[Change], None]] = []
        # The event loop holds only weak references to tasks; a write whose caller is gone could be collected.
        self._writes: set[asyncio.Task[Any]] = set()
        self._lock = asyncio.Lock()
        self.revision = 0
        self.last_write_ok = True  # False after a failed access to the file, until a write succeeds

    async def open(self) -> None:
        """Load the current objects. Raises errors.SettingError if the file cannot be used."""
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
        """Finish pending writes and close the file."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._rows.close)
        self._thread.shutdown(wait=False)

    def get(self, key: Key) -> Object | None:
        """The current object; the caller must not change it."""
        return self._objects.get(key.resource, {}).get((key.namespace, key.name))

    def select(self, resource: str, namespace: str) -> list[Object]:
        """The current objects ordered by namespace and name; "" means all namespaces."""
        found = self._objects.get(resource, {})
        return [found[place] for place in sorted(found) if not namespace or place[0] == namespace]

    async def select_at(self, revision: int, resource: str, namespace: str) -> list[Object] | None:
        """The objects at a revision; None if it is compacted or does not exist yet."""
        if not self._knows(revision):
            return None
        items = await self._call(
            lambda: [json.loads(row.text) for row in self._rows.as_of(revision, resource, namespace)]
        )
        # Asked again: compaction may have removed rows while the read waited for its turn.
        return items if self._knows(revision) else None

    async def changes(self, since: int, until: int, resource: str) -> list[Change] | None:
        """The next batch of changes of a resource after ``since``, up to ``until``; None if they are compacted.

        Call again with the last revision for the next batch, until the list is empty.
        """
        if not self._knows(since):
            return None
        if since >= until:
            return []
        found = await self._call(lambda: [_change(row) for row in self._rows.changes(since, until, resource)])
        return found if self._knows(since) else None

    async def write(self, key: Key, work: Callable[[Transaction], T]) -> T:
        """Call ``work`` with a transaction on the object and return its result once the commit is visible.

        Runs in the store's thread and blocks other writes; exceptions of ``work`` propagate. Raises
        errors.DiskFullError, and errors.ApiUnavailableError if the disk fails. Cancelling the caller does not cancel
        the write.
        """
        # A task of its own: a client that disconnects must not leave a row on disk that memory and watchers lack.
        task = asyncio.create_task(self._write(key, work))
        self._writes.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def subscribe(self) -> Subscription:
        """Return a subscription that receives every change from now on."""
        subscription = Subscription()
        self.attach(subscription.offer)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        self._listeners.remove(subscription.offer)

    def attach(self, listener: Callable[[Change], None]) -> None:
        """Call the listener with every change, before the write returns. It must not block."""
        self._listeners.append(listener)

    def detach(self, listener: Callable[[Change], None]) -> None:
        """Stop calling the listener."""
        self._listeners.remove(listener)

    async def compact(self) -> None:
        """Delete replaced rows beyond the history, in steps, so that writes can run in between.

        While the disk is full, keeps a short history only: writes need the space.
        """
        floor = self.revision - (min(self._retained, SHORT_HISTORY) if self._disk.fault else self._retained)
        more = floor > self._rows.floor
        while more:
            more = await self._call(lambda: self._rows.compact(floor))

    async def refill(self) -> None:
        """Grow the reserve for a full disk to its size, as far as there is space."""
        await self._call(self._rows.reserve.refill)

    def _knows(self, revision: int) -> bool:
        return self._rows.floor <= revision <= self.revision

    async def _write(self, key: Key, work: Callable[[Transaction], T]) -> T:
        async with self._lock:
            # Under the lock until it is published: the next transaction must
            # see this object and take the next revision.
            transaction = Transaction(key, self.get(key), self.revision + 1, self._rows)
            result = await self._call(partial(work, transaction))
            if transaction.done is not None and transaction.done.revision > self.revision:
                self._publish(transaction.done)
            return result

    def _ended(self, write: asyncio.Task[Any]) -> None:
        self._writes.discard(write)
        if not write.cancelled():
            write.exception()  # a cancelled caller does not retrieve it, and asyncio would log it

    def _publish(self, done: Change) -> None:
        # The index before the listeners: what they read from the store must contain the change.
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
        """Run work in the store's thread; turn its failure into an error for the client."""
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            # SQLite reports EDQUOT as an I/O error; only a test write
            # distinguishes a used-up quota from a failing disk.
            cause = sqlite_errors.underlying(error, self._disk.probe)
            if sqlite_errors.is_full(cause) or (sqlite_errors.may_be_space(error) and self._disk.check()):
                self._disk.refused(cause)
                raise reserve.refusal(self._disk) from error
            self.last_write_ok = False
            raise errors.ApiUnavailableError(
                f"cannot use the database {self._path} ({error}): {sqlite_errors.remedy(cause)}",
                code=503,
                reason="ServiceUnavailable",
            ) from error


def _at(revision: int, item: Object) -> Object:
    # Copied, never changed in place: watchers and readers in other threads hold stored objects without a lock.
    return {**item, "metadata": {**item["metadata"], "resourceVersion": str(revision)}}


def _change(row: Row) -> Change:
    # A watch with a selector needs it: the object may have begun or ceased to match.
    before = json.loads(row.before) if row.before else None
    kind = "DELETED" if row.deleted else "MODIFIED" if before else "ADDED"
    return Change(row.revision, row.key, kind, json.loads(row.text), before)
