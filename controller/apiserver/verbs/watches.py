"""A watch: the initial objects, changes and bookmarks as one stream of JSON lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any, NamedTuple

from controller.apiserver import failures, texts
from controller.apiserver.objects.representation import Form
from controller.apiserver.objects.request_options import WatchOptions
from controller.apiserver.storage.store import Change, Store, Subscription
from controller.apiserver.texts import Json, Kept
from controller.apiserver.verbs.presentation import listed
from controller.apiserver.verbs.writing import ResourceRef
from controller.apiserver.worker import Worker

Object = dict[str, Any]
BOOKMARK_SECONDS = 30.0


class Event(NamedTuple):
    """A change of one object as a watcher sees it: as text, since hundreds may wait for a slow client."""

    type: str
    kept: Kept


class Watch:
    """One client's watch of one collection, in the negotiated form."""

    def __init__(
        self, store: Store, ref: ResourceRef, matches: Callable[[Object], bool], form: Form, worker: Worker,
        turn: asyncio.Lock,
    ) -> None:  # fmt: skip
        """``turn`` is held while reading a batch of the history."""
        self._store = store
        self._ref = ref
        self._matches = matches
        self._form = form
        self._worker = worker
        self._turn = turn

    async def events(self, options: WatchOptions) -> AsyncGenerator[bytes, None]:
        """Yield events until the timeout, or an error event if a revision is unavailable."""
        # Subscribe before reading the history, so that no change is missed in between.
        subscription, until = self._store.subscribe(self._event), self._store.revision
        try:
            async for event in self._past(options, until):
                yield await self._line(event)
            if options.initial and options.bookmarks:
                yield self._bookmark(until, {"k8s.io/initial-events-end": "true"})
            async for line in self._live(subscription, until, options):
                yield line
        except failures.Failure as failure:
            yield _line("ERROR", texts.encoded(failure.status()))
        finally:
            self._store.unsubscribe(subscription)

    async def _past(self, options: WatchOptions, until: int) -> AsyncGenerator[Event, None]:
        """Yield the initial objects, or the changes since a revision, in batches. Raises failures.Failure."""
        if options.since > until and options.initial is not None:
            raise failures.too_large_version(options.since, until)
        if options.initial is False and not options.since:
            return
        if options.initial or not options.since:
            for one in self._store.select(self._ref.resource.key, self._ref.namespace).kept:
                if self._matches(one.parsed()):
                    yield Event("ADDED", one)
            return
        since = options.since
        while changes := await self._next(since, until):
            for change in changes:
                if event := self._event(change):
                    yield event
            since = changes[-1].revision

    async def _next(self, since: int, until: int) -> list[Change]:
        # For reading only: a client that reads slowly must not block its user's other requests.
        async with self._turn:
            changes = await self._store.changes(since, until, self._ref.resource.key)
        if changes is None:
            # Also for a future revision: after a restored backup, the client must notice that its revision is gone.
            raise failures.expired(since, self._store.revision)
        return changes

    async def _live(
        self, subscription: Subscription[Event], revision: int, options: WatchOptions
    ) -> AsyncGenerator[bytes, None]:
        """Yield what changes after ``revision``, and bookmarks."""
        loop = asyncio.get_running_loop()
        deadline, bookmark_at = loop.time() + options.seconds, loop.time() + BOOKMARK_SECONDS
        # A watcher that lags too far is disconnected; its client continues from the last revision that it received.
        while (now := loop.time()) < deadline and not subscription.lost:
            # Also while other kinds change: the client of a quiet kind would fall behind the history.
            if now >= bookmark_at:
                bookmark_at = now + BOOKMARK_SECONDS
                if options.bookmarks:
                    # A bookmark must not overtake the changes that are still to be sent.
                    yield self._bookmark(self._store.revision if subscription.queue.empty() else revision, {})
            try:
                # Not wait_for: in Python 3.11 it ignores a cancellation that meets a change (CPython issue 81839).
                async with asyncio.timeout_at(min(deadline, bookmark_at)):
                    event = await subscription.queue.get()
            except TimeoutError:
                continue
            revision = event.kept.revision
            yield await self._line(event)

    def _event(self, change: Change) -> Event | None:
        """The change as this watcher sees it: selectors may turn MODIFIED into ADDED or DELETED."""
        if change.key.resource != self._ref.resource.key:
            return None
        if self._ref.namespace and change.key.namespace != self._ref.namespace:
            return None
        before = change.before is not None and self._matches(change.before)
        after = change.type != "DELETED" and self._matches(change.object)
        if not (before or after):
            return None
        kept = self._store.kept(change.key)
        if kept is None or kept.revision != change.revision:  # deleted, or one of the past
            kept = texts.kept(change.key.place, change.revision, change.object)
        return Event("DELETED" if not after else "MODIFIED" if before else "ADDED", kept)

    async def _line(self, event: Event) -> bytes:
        """Encode an event for the client. Yields to the event loop between two lines."""
        await asyncio.sleep(0)
        return await self._worker.handle(partial(self._encoded, event), large=event.kept.is_large)

    def _bookmark(self, revision: int, annotations: dict[str, str]) -> bytes:
        metadata: Object = {"resourceVersion": str(revision)}
        if annotations:
            metadata["annotations"] = annotations
        resource = self._ref.resource
        item = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        return _line("BOOKMARK", texts.encoded(self._formed(item)))

    def _encoded(self, event: Event) -> bytes:
        item = listed(self._ref.resource, event.kept, parse=bool(self._form.kind))
        return _line(event.type, texts.of(item if isinstance(item, Json) else self._formed(item)))

    def _formed(self, item: Object) -> Object:
        """The object in the form of the stream, of which only the first one contains the columns of a Table."""
        found = self._form.of_object(self._ref.resource, item)
        if not self._form.omits_columns:
            self._form = self._form.without_columns
        return found


def _line(kind: str, text: str) -> bytes:
    return f'{{"type":"{kind}","object":{text}}}\n'.encode()
