"""Follows one Runtime until it has reached its desired state, and reports what it waits for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from controller import names
from controller.api import kinds
from controller.cloud.commands.devices import RuntimeObject
from controller.machinery import conditions
from controller.machinery.backoff import Backoff
from controller.machinery.client import ApiClient, Listing, WatchEvent
from controller.machinery.informer import Informer

RETRY_SECONDS = (0.25, 2.0)  # the first delay and the longest


async def follow(api: ApiClient, runtime: RuntimeObject) -> AsyncGenerator[RuntimeObject | None]:
    """Yield the Runtime as given, then each change of it; ends after yielding None once it is gone.

    A new object of the same name counts as gone. Tolerates a temporarily unavailable API. The watch is one of its own,
    for as long as a command waits: kopf reports an object only between its handlers, which wait for passes themselves.
    """
    metadata = runtime["metadata"]
    informer = Informer(
        api,
        kinds.RUNTIMES,
        namespace=metadata["namespace"],
        field_selector=f"metadata.name={metadata['name']}",
        backoff=Backoff(*RETRY_SECONDS),
    )
    # The desired state may have been reached before, and then no change follows.
    yield runtime
    async with aclosing(informer.changes(metadata["resourceVersion"])) as changes:
        async for change in changes:
            current = _current(change, metadata["uid"])
            yield current
            if current is None:
                return


async def wait_gone(api: ApiClient, runtime: RuntimeObject) -> None:
    """Wait until the Runtime is gone."""
    async with aclosing(follow(api, runtime)) as changes:
        async for _ in changes:
            pass


def _current(change: Listing | WatchEvent, uid: str) -> RuntimeObject | None:
    """The object with this uid after a change, None if it is gone."""
    if isinstance(change, WatchEvent) and change.type == "DELETED":
        return None
    # The watch follows a name, which a new object may have by now.
    return next((found for found in change.objects if found["metadata"]["uid"] == uid), None)


def is_ready(runtime: RuntimeObject, generation: int) -> bool:
    """Whether the observed state matches the spec of ``generation`` or a later one."""
    observed = (runtime.get("status") or {}).get("observedGeneration", -1)
    ready = conditions.of(runtime, names.READY)
    return observed >= generation and ready.get("status") == "True" and _age(ready, observed) >= generation


def stall(runtime: RuntimeObject, generation: int) -> str:
    """Why ``generation`` cannot be reached without intervention, or ""."""
    stalled = conditions.of(runtime, names.STALLED)
    # A condition from before the change says nothing about the new spec, which may be the remedy.
    if stalled.get("status") != "True" or _age(stalled, -1) < generation:
        return ""
    return str(stalled.get("message") or stalled.get("reason"))


def waits_for(runtime: RuntimeObject) -> str:
    """Describe what the Runtime waits for before it reaches its desired state."""
    for kind in (names.STALLED, names.RECONCILING):
        found = conditions.of(runtime, kind)
        if found.get("status") == "True":
            return str(found.get("message") or found.get("reason"))
    return str(conditions.of(runtime, names.READY).get("message") or "the controller has not processed it yet")


def _age(found: Mapping[str, Any], default: int) -> int:
    """The generation that a condition refers to."""
    return int(found.get("observedGeneration", default))
