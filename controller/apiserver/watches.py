"""A watch: what was there, what changed since, and bookmarks, as one stream of JSON lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

from controller.apiserver import failures, tables
from controller.apiserver.resources import Resource
from controller.apiserver.store import Change, Store, Subscription

Object = dict[str, Any]
BOOKMARK_SECONDS = 30.0


class Watch:
    """One client's view of one resource."""

    def __init__(
        self,
        store: Store,
        resource: Resource,
        namespace: str,
        matches: Callable[[Object], bool],
        *,
        as_table: str | None,
    ) -> None:
        self._store = store
        self._resource = resource
        self._namespace = namespace
        self._matches = matches
        self._as_table = as_table

    def lines(self, since: str, seconds: float, *, bookmarks: bool, initial: bool) -> AsyncGenerator[bytes, None]:
        """The events until the time is up. Raises failures.Failure (410) at once, before anything is sent."""
        subscription = self._store.subscribe()
        try:
            backlog = self._backlog(since, initial=initial)
        except failures.Failure:
            self._store.unsubscribe(subscription)
            raise
        if initial:
            backlog.append(self._bookmark({"k8s.io/initial-events-end": "true"}))
        return self._stream(backlog, subscription, seconds, bookmarks=bookmarks)

    async def _stream(
        self, backlog: list[bytes], subscription: Subscription, seconds: float, *, bookmarks: bool
    ) -> AsyncGenerator[bytes, None]:
        try:
            yield b"".join(backlog)
            async for line in self._live(subscription, seconds, bookmarks=bookmarks):
                yield line
        finally:
            self._store.unsubscribe(subscription)

    def _backlog(self, since: str, *, initial: bool) -> list[bytes]:
        if initial or since in ("", "0"):
            found = self._store.select(self._resource.key, self._namespace)
            return [self._line("ADDED", item) for item in found if self._matches(item)]
        changes = self._store.changes_since(int(since)) if since.isdigit() else None
        if changes is None:
            raise failures.expired(since, self._store.revision)
        return [line for change in changes if (line := self._event(change))]

    async def _live(
        self, subscription: Subscription, seconds: float, *, bookmarks: bool
    ) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (left := deadline - loop.time()) > 0 and not subscription.lost:
            try:
                change = await asyncio.wait_for(subscription.queue.get(), min(left, BOOKMARK_SECONDS))
            except TimeoutError:
                if bookmarks:
                    yield self._bookmark({})
                continue
            if line := self._event(change):
                yield line

    def _event(self, change: Change) -> bytes | None:
        """What the change is to this watcher: selectors may turn a MODIFIED into ADDED or DELETED."""
        if change.key.resource != self._resource.key:
            return None
        if self._namespace and change.key.namespace != self._namespace:
            return None
        before = change.before is not None and self._matches(change.before)
        after = change.type != "DELETED" and self._matches(change.object)
        if after:
            return self._line("MODIFIED" if before else "ADDED", change.object)
        return self._line("DELETED", change.object) if before else None

    def _line(self, kind: str, item: Object) -> bytes:
        shown = {**item, "apiVersion": self._resource.api_version}
        if self._as_table is not None:
            metadata = {"resourceVersion": item["metadata"]["resourceVersion"]}
            shown = tables.table(self._resource, [shown], metadata, self._as_table)
        return _encode({"type": kind, "object": shown})

    def _bookmark(self, annotations: dict[str, str]) -> bytes:
        metadata: Object = {"resourceVersion": str(self._store.revision), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        item = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": metadata}
        return _encode({"type": "BOOKMARK", "object": item})


def _encode(event: Object) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
