"""The store of the embedded API: revisions on disk, current objects in memory, changes pushed to watchers.

A write is on disk before it becomes visible; then the index and the watchers see it, in revision order. Writes that
arrive while others are flushed to disk share the next flush. SQLite runs in its own thread, and so does the work that
computes a new object: it may take a second. Knows no kinds.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from controller import errors
from controller.apiserver import texts
from controller.apiserver.storage import reserve, sqlite_errors
from controller.apiserver.storage.groups import UNCHANGED, Change, Committed, Group, Object, Transaction
from controller.apiserver.storage.rows import Key, Row, Rows
from controller.apiserver.texts import Kept, Place, Selection
from controller.disk import Disk

logger = logging.getLogger(__name__)

T = TypeVar("T")
E = TypeVar("E")
Work = Callable[[Transaction], T]

HISTORY = 2000  # revisions that a watch or a continued list can go back
SHORT_HISTORY = 100  # the same while the disk is full: the space of older rows is needed for writes
GROUP_LIMIT = 64  # requests in one commit, whose objects wait in memory for it
SUBSCRIBER_LIMIT = 1000  # events by which a watcher may lag before it is dropped

__all__ = ["UNCHANGED", "Change", "Key", "Object", "Store", "Subscription", "Transaction"]


class _Queued(NamedTuple):
    """Writes of one request, all or none of which take effect, and the future with their results."""

    writes: Sequence[tuple[Key, Work[Any]]]
    done: asyncio.Future[list[Any]]


class Subscription(Generic[T]):
    """A watcher's queue of what ``of_change`` makes of changes, None of those that do not concern it.

    ``lost`` is set once it lags too far behind.
    """

    def __init__(self, of_change: Callable[[Change], T | None]) -> None:
        self.queue: asyncio.Queue[T] = asyncio.Queue(SUBSCRIBER_LIMIT)
        self.lost = False
        self._of_change = of_change

    def offer(self, change: Change) -> None:
        """Enqueue a change without waiting: a watcher that is too slow is dropped and must list again."""
        try:
            if (event := self._of_change(change)) is not None:
                self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.lost = True
        except Exception:
            self.lost = True  # it must not miss a change without noticing
            raise


class Store:
    """One database. Call its methods in one event loop only, except ``get`` within a write."""

    def __init__(self, path: Path, history: int = HISTORY, disk: Disk | None = None) -> None:
        self._path = path
        self._disk = disk or Disk(path.parent)
        self._retained = history
        # One thread: an sqlite3 connection belongs to the thread that created
        # it, and one writer makes revisions sequential.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._objects: dict[str, dict[Place, Kept]] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._queue: deque[_Queued] = deque()
        self._committer: asyncio.Task[None] | None = None
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
        for key, kept in found:
            self._objects.setdefault(key.resource, {})[key.place] = kept
        self.revision = self._rows.last

    def _load(self) -> list[tuple[Key, Kept]]:
        return [(row.key, self._kept(row)) for row in self._rows.as_of(self._rows.last)]

    def _kept(self, row: Row) -> Kept:
        try:
            return texts.kept(row.key.place, row.revision, texts.parsed(row.text))
        except ValueError as error:
            raise errors.SettingError(
                f"cannot read the object {'/'.join(row.key)} of the database {self._path}: {sqlite_errors.RESTORE}"
            ) from error

    async def close(self) -> None:
        """Finish pending writes and close the file."""
        if self._committer is not None:
            await self._committer
        await asyncio.get_running_loop().run_in_executor(self._thread, self._rows.close)
        self._thread.shutdown(wait=False)

    def get(self, key: Key) -> Object | None:
        """The current object; the caller must not change it."""
        kept = self.kept(key)
        return kept.parsed() if kept else None

    def kept(self, key: Key) -> Kept | None:
        """The current object as it is kept."""
        return self._objects.get(key.resource, {}).get(key.place)

    def select(self, resource: str, namespace: str) -> Selection:
        """The current objects of a namespace; "" means all namespaces."""
        return self.pick(resource, namespace, self._objects.get(resource, {}))

    def pick(self, resource: str, namespace: str, places: Iterable[Place]) -> Selection:
        """As ``select``, but only those at these places, as far as there are any."""
        found = self._objects.get(resource, {})
        wanted = sorted(place for place in places if place in found and (not namespace or place[0] == namespace))
        return Selection([found[place] for place in wanted])

    async def select_at(self, revision: int, resource: str, namespace: str) -> Selection | None:
        """The objects at a revision; None if it is compacted or does not exist yet."""
        if not self.knows(revision):
            return None
        found = await self._call(
            lambda: [
                texts.read(row.key.place, row.revision, row.text)
                for row in self._rows.as_of(revision, resource, namespace)
            ]
        )
        # Asked again: compaction may have removed rows while the read waited for its turn.
        return Selection(found) if self.knows(revision) else None

    async def changes(self, since: int, until: int, resource: str) -> list[Change] | None:
        """The next batch of changes of a resource after ``since``, up to ``until``; None if they are compacted.

        Call again with the last revision for the next batch, until the list is empty.
        """
        if not self.knows(since):
            return None
        if since >= until:
            return []
        found = await self._call(lambda: [_change(row) for row in self._rows.changes(since, until, resource)])
        return found if self.knows(since) else None

    async def write(self, key: Key, work: Work[T]) -> T:
        """Call ``work`` with a transaction on the object and return its result once the commit is visible.

        Runs in the store's thread, after all writes before it; exceptions of ``work`` propagate. It may be called
        again, so it must not change anything else. Raises errors.DiskFullError, and errors.ApiUnavailableError if the
        disk fails. Cancelling the caller does not cancel the write.
        """
        (result,) = await self.write_together([(key, work)])
        return result

    async def write_together(self, writes: Sequence[tuple[Key, Work[T]]]) -> list[T]:
        """As ``write``, for several writes of which all or none take effect, also after a crash; each sees the last."""
        queued = _Queued(writes, asyncio.get_running_loop().create_future())
        # A cancelled caller does not retrieve a failure, and asyncio would log it.
        queued.done.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._queue.append(queued)
        if self._committer is None:
            self._committer = asyncio.create_task(self._commit_queued())
        # Shielded: a client that disconnects must not leave a row on disk that memory and watchers lack.
        return await asyncio.shield(queued.done)

    def subscribe(self, of_change: Callable[[Change], E | None]) -> Subscription[E]:
        """Return a subscription that receives what ``of_change`` makes of every change from now on."""
        subscription = Subscription(of_change)
        self.attach(subscription.offer)
        return subscription

    def unsubscribe(self, subscription: Subscription[Any]) -> None:
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

        While the disk is full, keeps a short history only: writes need the space. Otherwise it runs once a tenth of the
        history is surplus: on an idle host, removing single rows each minute would write more than the rows themselves.
        """
        full = bool(self._disk.fault)
        floor = self.revision - (min(self._retained, SHORT_HISTORY) if full else self._retained)
        more = floor > self._rows.floor + (0 if full else self._retained // 10)
        while more:
            more = await self._call(lambda: self._rows.compact(floor))

    async def refill(self) -> None:
        """Grow the reserve for a full disk to its size, as far as there is space."""
        await self._call(self._rows.reserve.refill)

    def knows(self, revision: int) -> bool:
        """Whether the objects at a revision can be read: it is neither compacted nor in the future."""
        return self._rows.floor <= revision <= self.revision

    async def _commit_queued(self) -> None:
        try:
            while self._queue:
                await self._commit([self._queue.popleft() for _ in range(min(len(self._queue), GROUP_LIMIT))])
        finally:
            self._committer = None

    async def _commit(self, group: Sequence[_Queued]) -> None:
        """Commit a group and publish it. Until then no other write begins, as it must see these objects."""
        work = self._call(partial(self._run, [queued.writes for queued in group]))
        (committed,) = await asyncio.gather(work, return_exceptions=True)
        if not isinstance(committed, BaseException):
            for change in committed.changes:
                self._publish(change)
            for queued, outcome in zip(group, committed.outcomes, strict=True):
                outcome.resolve(queued.done)
        elif len(group) == 1:
            group[0].done.set_exception(committed)
        else:
            # A full disk accepts some writes and refuses others, and each caller must learn what happened to its own.
            for queued in group:
                await self._commit([queued])

    def _run(self, requests: Sequence[Sequence[tuple[Key, Work[Any]]]]) -> Committed:
        """Run the writes of a group in the store's thread; what they changed is on disk when this returns."""
        group = Group(self.get, self.revision, self._rows)
        outcomes = [group.run(writes) for writes in requests]
        group.commit()
        return Committed(group.changes, outcomes)

    def _publish(self, done: Change) -> None:
        # The index before the listeners: what they read from the store must contain the change.
        self.revision, self.last_write_ok = done.revision, True
        objects, place = self._objects.setdefault(done.key.resource, {}), done.key.place
        if done.type == "DELETED":
            del objects[place]
        else:
            objects[place] = texts.kept(place, done.revision, done.object)
        for listener in self._listeners:
            try:
                listener(done)
            except Exception:  # a bug in one of them must leave neither the writer nor the other listeners without news
                logger.exception("A listener of the store failed at revision %d", done.revision)

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


def _change(row: Row) -> Change:
    # A watch with a selector needs it: the object may have begun or ceased to match.
    before = texts.parsed(row.before) if row.before else None
    kind = "DELETED" if row.deleted else "MODIFIED" if before else "ADDED"
    return Change(row.revision, row.key, kind, texts.parsed(row.text), before)
