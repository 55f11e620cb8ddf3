"""What becomes of the Runtimes when a release leaves its cluster: they stay, free of our finalizer, or they go first.

No container is touched here: a Runtime that is deleted while the controller runs takes its container along, one that
stays is adopted by the next release.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from controller import errors, names
from controller.api import kinds
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient

POLL_SECONDS = 1.0

Say = Callable[[str], None]


async def release(api: ApiClient, namespace: str, release_name: str, say: Say) -> None:
    """Take our finalizer off every Runtime, once no pod of the release is left that would put it back.

    Raises errors.ApiError; may be repeated.
    """
    selector = f"app.kubernetes.io/instance={release_name},app.kubernetes.io/component in (controller,node)"
    await _until_none(
        lambda: api.list(core_kinds.PODS, namespace, label_selector=selector), "the controller's pods", say
    )
    released = 0
    while held := [item for item in await api.list(kinds.RUNTIMES) if names.FINALIZER in _finalizers(item)]:
        for runtime in held:
            released += await _free(api, runtime)
    say(f"{released} Runtimes stay, free of the controller; their containers were not touched")


async def purge(api: ApiClient, say: Say) -> None:
    """Delete every Runtime and wait until all are gone, with their containers. Raises errors.ApiError."""
    runtimes = await api.list(kinds.RUNTIMES)
    for runtime in runtimes:
        await _delete(api, runtime["metadata"])
    await _until_none(lambda: api.list(kinds.RUNTIMES), "Runtimes", say)
    say(f"{len(runtimes)} Runtimes are removed; their volumes stay unless they say otherwise")


async def _until_none(listed: Callable[[], Any], what: str, say: Say) -> None:
    """Wait, and say so at each change; the Job's deadline ends what takes too long."""
    before: list[str] = []
    while items := await listed():
        left = sorted(item["metadata"]["name"] for item in items)
        if left != before:
            say(f"waiting for {what} to go: {', '.join(left[:10])}{' ...' if len(left) > 10 else ''}")
            before = left
        await asyncio.sleep(POLL_SECONDS)


async def _free(api: ApiClient, runtime: dict[str, Any]) -> bool:
    """Whether this call took the finalizer off; not when someone else changed the object meanwhile."""
    metadata = runtime["metadata"]
    left = [finalizer for finalizer in _finalizers(runtime) if finalizer != names.FINALIZER]
    patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": left}}
    try:
        await api.patch(kinds.RUNTIMES, metadata["name"], metadata["namespace"], patch)
    except (errors.ConflictError, errors.NotFoundError):
        return False
    return True


async def _delete(api: ApiClient, metadata: dict[str, Any]) -> None:
    try:
        await api.delete(kinds.RUNTIMES, metadata["name"], metadata["namespace"], uid=metadata["uid"])
    except errors.NotFoundError:
        return


def _finalizers(runtime: dict[str, Any]) -> list[str]:
    return runtime["metadata"].get("finalizers") or []
