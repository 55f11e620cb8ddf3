"""Follows one Runtime until it has reached its desired state, and reports what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from controller import errors, names
from controller.api import kinds
from controller.cloud.commands.devices import RuntimeObject
from controller.machinery import conditions
from controller.machinery.client import ApiClient

RETRY_SECONDS = 0.5


async def follow(api: ApiClient, runtime: RuntimeObject) -> AsyncGenerator[RuntimeObject | None]:
    """Yield the Runtime as given, then each change of it; ends after yielding None once it is gone.

    A new object of the same name counts as gone. Tolerates a temporarily unavailable API.
    """
    current: RuntimeObject | None = runtime
    yield current
    while current is not None:
        async with aclosing(_stream(api, current)) as changes:
            async for current in changes:
                yield current
                if current is None:
                    return
        current = await _read(api, runtime)
        yield current


async def wait_gone(api: ApiClient, runtime: RuntimeObject) -> None:
    """Wait until the Runtime is gone."""
    async with aclosing(follow(api, runtime)) as changes:
        async for _ in changes:
            pass


async def _stream(api: ApiClient, runtime: RuntimeObject) -> AsyncGenerator[RuntimeObject | None]:
    """Yield the changes of one watch until it ends for any reason."""
    metadata = runtime["metadata"]
    watch = api.watch(
        kinds.RUNTIMES,
        metadata["namespace"],
        resource_version=metadata["resourceVersion"],
        field_selector=f"metadata.name={metadata['name']}",
    )
    try:
        async for event in watch:
            if event.type == "DELETED" or event.object["metadata"].get("uid", metadata["uid"]) != metadata["uid"]:
                yield None
                return
            if event.type != "BOOKMARK":
                yield event.object
    except (errors.ExpiredError, errors.ApiUnavailableError):
        await asyncio.sleep(RETRY_SECONDS)


async def _read(api: ApiClient, runtime: RuntimeObject) -> RuntimeObject | None:
    metadata = runtime["metadata"]
    while True:
        try:
            found = await api.get(kinds.RUNTIMES, metadata["name"], metadata["namespace"])
        except errors.NotFoundError:
            return None
        except errors.ApiUnavailableError:
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return found if found["metadata"]["uid"] == metadata["uid"] else None


def is_ready(runtime: RuntimeObject, generation: int) -> bool:
    """Whether the observed state matches the spec of ``generation`` or a later one."""
    observed = (runtime.get("status") or {}).get("observedGeneration", -1)
    ready = conditions.of(runtime, names.READY)
    return observed >= generation and ready.get("status") == "True" and _age(ready, observed) >= generation


def stall(runtime: RuntimeObject, generation: int) -> str:
    """Why ``generation`` cannot be reached without intervention, or ""."""
    stalled = conditions.of(runtime, names.STALLED)
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
