"""Merges two watches into one stream of changes: our pods, and the warning events about them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from controller import errors
from controller.backends.base import Contact, Identity
from controller.backends.pods import naming, watching
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient, WatchEvent
from controller.machinery.supervisor import while_running

log = logging.getLogger(__name__)

_WARNINGS = "involvedObject.kind=Pod,type=Warning"


class Changes:
    """Follows the pods of one installation."""

    def __init__(self, api: ApiClient, install_id: str) -> None:
        self._api = api
        self._install_id = install_id
        self._known: dict[str, Identity] = {}  # by uid of the pod, to look up the runtime of an event

    async def stream(self) -> AsyncIterator[Identity | Contact]:
        """Yield identities forever, and CONNECTED whenever changes may have been missed.

        Raises the exception that ends one of the watches, because the stream would be incomplete from then on.
        """
        changes: asyncio.Queue[Identity | Contact] = asyncio.Queue(maxsize=1)
        tasks = [asyncio.create_task(work) for work in (self._follow_pods(changes), self._follow_events(changes))]
        try:
            while True:
                yield await while_running(changes.get(), *tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow_pods(self, changes: asyncio.Queue[Identity | Contact]) -> None:
        async for event in watching.pods(self._api, self._install_id):
            if event is None:
                await changes.put(Contact.CONNECTED)
            elif identity := self._of_pod(event):
                await changes.put(identity)

    async def _follow_events(self, changes: asyncio.Queue[Identity | Contact]) -> None:
        """Best effort: events only explain the state of a pod that is watched anyway."""
        while True:
            try:
                async for event in self._api.watch(core_kinds.EVENTS, field_selector=_WARNINGS):
                    about = event.object.get("involvedObject") or {}
                    if identity := self._known.get(str(about.get("uid"))):
                        await changes.put(identity)
            except errors.ApiError as error:
                log.debug("Failed to watch events: %s", error)
                await asyncio.sleep(watching.AGAIN_SECONDS)

    def _of_pod(self, event: WatchEvent) -> Identity | None:
        identity = naming.identity_of(event.object, self._install_id)
        uid = str(event.object["metadata"].get("uid"))
        if event.type == "DELETED":
            self._known.pop(uid, None)
        elif identity:
            self._known[uid] = identity
        return identity
