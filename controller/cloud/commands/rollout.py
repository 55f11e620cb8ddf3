"""Follows one Runtime until it is as wished, and says what it waits for meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from controller import errors, names
from controller.api import kinds
from controller.cloud.commands.devices import RuntimeObject
from controller.machinery.client import ApiClient

RETRY_SECONDS = 0.5


async def follow(api: ApiClient, runtime: RuntimeObject) -> AsyncGenerator[RuntimeObject | None]:
    """The Runtime as given, then each change of it; None when it is gone, and then the end.

    A new object of the same name is another one: this one is gone. Rides over an API that is away for a while.
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
    """Changes from one watch, until it ends for whatever reason."""
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
    """Whether what is observed equals what ``generation`` or a later one desires."""
    observed = (runtime.get("status") or {}).get("observedGeneration", -1)
    ready = condition(runtime, names.READY)
    return observed >= generation and ready.get("status") == "True" and _age(ready, observed) >= generation


def stall(runtime: RuntimeObject, generation: int) -> str:
    """Why a person is needed before ``generation`` can be reached, or ""."""
    stalled = condition(runtime, names.STALLED)
    if stalled.get("status") != "True" or _age(stalled, -1) < generation:
        return ""
    return str(stalled.get("message") or stalled.get("reason"))


def waits_for(runtime: RuntimeObject) -> str:
    """What stands between the Runtime and its wish, for a person."""
    for kind in (names.STALLED, names.RECONCILING):
        found = condition(runtime, kind)
        if found.get("status") == "True":
            return str(found.get("message") or found.get("reason"))
    return str(condition(runtime, names.READY).get("message") or "the controller has not come to it yet")


def condition(runtime: RuntimeObject, kind: str) -> dict[str, Any]:
    """The condition of that type, empty when there is none."""
    conditions = (runtime.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == kind), {})


def _age(found: dict[str, Any], default: int) -> int:
    """The generation that a condition speaks of."""
    return int(found.get("observedGeneration", default))
