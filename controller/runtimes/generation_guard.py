"""Ends a pass early when its Runtime has changed since the pass read it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, TypeVar

from controller import errors
from controller.api import kinds, runtimes
from controller.machinery.backoff import Backoff
from controller.machinery.client import ApiClient

T = TypeVar("T")


class Superseded(Exception):  # noqa: N818 - not an error: another pass follows
    """The Runtime was deleted or its spec changed during the pass."""


class GenerationGuard:
    """The generation of one Runtime as a pass read it; ``interrupted`` is set when the object may have changed."""

    def __init__(self, api: ApiClient, runtime: runtimes.Runtime, interrupted: asyncio.Event) -> None:
        self._api = api
        self._metadata = runtime.metadata
        self._interrupted = interrupted

    async def check(self) -> None:
        """Raise Superseded if the generation has changed. Sends a request only after an interruption."""
        if not self._interrupted.is_set():
            return
        # Before the request: a change after it sets the event again.
        self._interrupted.clear()
        read = self._metadata
        now = (await self._api.get(kinds.RUNTIMES, read.name, read.namespace))["metadata"]
        deleted = bool(now.get("deletionTimestamp")) and read.deletion_timestamp is None
        if deleted or now.get("uid") != read.uid or now.get("generation") != read.generation:
            raise Superseded

    async def unless_changed(self, work: Awaitable[T]) -> T:
        """The result of ``work``. Cancels it and raises Superseded when the generation changes."""
        task = asyncio.ensure_future(work)
        try:
            while not await self._finished(task):
                await self._check_when_possible(task)
            return task.result()
        finally:
            task.cancel()
            # Awaited, so that the pull has ended when the next pass begins its own.
            with suppress(asyncio.CancelledError, errors.EdgeError):
                await task

    async def _check_when_possible(self, task: asyncio.Future[T]) -> None:
        """Like ``check``, but repeat it during an outage of the API, which says nothing about the Runtime."""
        backoff = Backoff()
        # Once the task is done, the check before the next step reports what is wrong.
        while not task.done():
            try:
                await self.check()
            except errors.ApiUnavailableError:
                self._interrupted.set()
                await asyncio.wait({task}, timeout=backoff.next())
            else:
                return

    async def _finished(self, task: asyncio.Future[T]) -> bool:
        """Wait for the task or an interruption; whether the task is done."""
        interruption = asyncio.ensure_future(self._interrupted.wait())
        try:
            either: set[asyncio.Future[Any]] = {task, interruption}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            interruption.cancel()
        return task.done()
