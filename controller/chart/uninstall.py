"""Handles the Runtimes when a Helm release is uninstalled: removes our finalizer from them, or deletes them first.

Touches no container itself. Deleting a Runtime while the controller runs removes its container; a Runtime that is kept
is adopted by the next release.
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
SHOWN = 10

Report = Callable[[str], None]


async def release(api: ApiClient, namespace: str, release_name: str, report: Report, seconds: int = 0) -> None:
    """Remove our finalizer from every Runtime, once no pod of the release is left that would add it again.

    Safe to repeat. Waits for ``seconds``, 0 without a limit. Raises errors.ApiError and errors.CleanupError.
    """
    selector = f"app.kubernetes.io/instance={release_name},app.kubernetes.io/component in (controller,node)"
    await _wait_until_gone(
        lambda: api.list(core_kinds.PODS, namespace, label_selector=selector), "the controller's pods", report, seconds
    )
    released = 0
    # List again until none is left: a Runtime that changed after the list keeps its finalizer at first.
    while finalized := [item for item in await api.list(kinds.RUNTIMES) if names.FINALIZER in _finalizers(item)]:
        for runtime in finalized:
            released += await _remove_finalizer(api, runtime)
    report(f"kept {released} Runtimes without the controller's finalizer; their containers were not touched")


async def purge(api: ApiClient, report: Report, seconds: int = 0) -> None:
    """Delete every Runtime and wait until all are gone, with their containers.

    Waits for ``seconds``, 0 without a limit. Raises errors.ApiError and errors.CleanupError.
    """
    runtimes = await api.list(kinds.RUNTIMES)
    for runtime in runtimes:
        metadata = runtime["metadata"]
        # The uid spares a Runtime that was created under the same name after the list.
        await api.delete(kinds.RUNTIMES, metadata["name"], metadata["namespace"], uid=metadata["uid"])
    await _wait_until_gone(lambda: api.list(kinds.RUNTIMES), "Runtimes", report, seconds)
    report(f"deleted {len(runtimes)} Runtimes; volumes are kept unless their reclaimPolicy is Delete")


async def _wait_until_gone(listed: Callable[[], Any], what: str, report: Report, seconds: int) -> None:
    """Wait, and report each change of what is left."""
    left: list[str] = []
    try:
        async with asyncio.timeout(seconds or None):
            while items := await listed():
                before, left = left, sorted(item["metadata"]["name"] for item in items)
                if left != before:
                    report(f"waiting for {what} to be deleted: {_joined(left)}")
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        message = f"{what} are not gone after {seconds} s: {_joined(left)}; find out what holds them, and try again"
        raise errors.CleanupError(message) from None


def _joined(found: list[str]) -> str:
    return ", ".join(found[:SHOWN]) + (" ..." if len(found) > SHOWN else "")


async def _remove_finalizer(api: ApiClient, runtime: dict[str, Any]) -> bool:
    """Whether this call removed the finalizer; False if the object was changed or deleted concurrently."""
    metadata = runtime["metadata"]
    left = [finalizer for finalizer in _finalizers(runtime) if finalizer != names.FINALIZER]
    # A merge patch replaces the whole list: without the version it would drop a finalizer that was just added.
    patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": left}}
    try:
        await api.patch(kinds.RUNTIMES, metadata["name"], metadata["namespace"], patch)
    except (errors.ConflictError, errors.NotFoundError):
        return False
    return True


def _finalizers(runtime: dict[str, Any]) -> list[str]:
    return runtime["metadata"].get("finalizers") or []
