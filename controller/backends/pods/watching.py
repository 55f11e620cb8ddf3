"""Watches our pods, and resumes after every interruption."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from controller import errors
from controller.backends.pods import naming
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient, WatchEvent

log = logging.getLogger(__name__)

AGAIN_SECONDS = 2.0


async def pods(api: ApiClient, install_id: str, *, node: str = "") -> AsyncIterator[WatchEvent | None]:
    """Yield every change of an installation's pods (on one node), forever.

    Yields None whenever the watch starts over: changes may have been missed, and an event for every pod follows.
    """
    selector, version = naming.selector(naming.install_labels(install_id)), ""
    place = f"spec.nodeName={node}" if node else ""
    while True:
        if not version:
            yield None
        try:
            watch = api.watch(core_kinds.PODS, label_selector=selector, field_selector=place, resource_version=version)
            async for event in watch:
                version = str(event.object["metadata"]["resourceVersion"])
                if event.type != "BOOKMARK":
                    yield event
        except errors.ApiError as error:
            version = ""
            log.warning("Failed to watch pods: %s", error)
            await asyncio.sleep(AGAIN_SECONDS)
