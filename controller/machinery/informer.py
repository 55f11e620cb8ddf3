"""Follows all objects of a kind: lists them, then watches their changes (client-go: Reflector)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from controller import errors
from controller.machinery.backoff import Backoff, Retry
from controller.machinery.client import ApiClient, Listing, WatchEvent
from controller.machinery.kinds import Kind

log = logging.getLogger(__name__)

SHORT_SECONDS = 1.0  # a watch that ends sooner and yields nothing has failed


class Informer:
    """The objects of one kind, in one namespace or all, that match the selectors."""

    def __init__(
        self,
        api: ApiClient,
        kind: Kind,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        backoff: Backoff | None = None,
    ) -> None:
        self._api = api
        self._kind = kind
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._retry = Retry(f"watch {kind.plural}", log, backoff or Backoff())

    async def changes(self, since: str = "") -> AsyncGenerator[Listing | WatchEvent]:
        """Yield the objects that exist now, then each change of one; never ends and raises nothing.

        With ``since``, a resourceVersion whose state the caller knows, there is no Listing at first. A further Listing
        means that the watch was lost: objects may have changed or disappeared without an event.
        """
        version = since
        while True:
            try:
                if not version:
                    yield (listing := await self._list())
                    version = listing.resource_version
                # Not left to the garbage collector if the consumer stops: the API limits the number of watches.
                async with aclosing(self._watch(version)) as events:
                    async for event in events:
                        # Also of a bookmark: else the version of a kind that rarely changes expires (410).
                        version = str(event.object["metadata"]["resourceVersion"])
                        if event.type != "BOOKMARK":
                            yield event
            except errors.ApiError as error:  # also 410: the version was compacted
                version = ""
                await asyncio.sleep(self._retry.failed(str(error)))

    async def _list(self) -> Listing:
        return await self._api.snapshot(
            self._kind, self._namespace, label_selector=self._label_selector, field_selector=self._field_selector
        )

    async def _watch(self, version: str) -> AsyncGenerator[WatchEvent]:
        """Yield the events of one watch until the server ends it. Raises errors.ApiError, also if it ended at once."""
        clock = asyncio.get_running_loop().time
        began, empty = clock(), True
        watch = self._api.watch(
            self._kind,
            self._namespace,
            resource_version=version,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        async with aclosing(watch) as events:
            async for event in events:
                empty = False
                self._retry.succeeded()
                yield event
        if empty and clock() - began < SHORT_SECONDS:  # otherwise a broken server would be asked without a pause
            raise errors.ApiUnavailableError("the server ended the watch at once")
        self._retry.succeeded()
