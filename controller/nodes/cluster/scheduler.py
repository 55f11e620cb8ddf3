"""Gives a node and a backend to Runtimes that have none: those that a person, Helm or GitOps made (design 14).

The leader does it, once for each Runtime and for good. What fits nowhere says so in its status, and is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from controller import errors, names
from controller.api import kinds, reasons
from controller.cloud.node import NodeDirectory
from controller.machinery import conditions
from controller.machinery.client import ApiClient
from controller.machinery.timestamps import rfc3339

UNASSIGNED = "spec.nodeName="
AGAIN_SECONDS = 15.0

Seen = tuple[str, int]
"""A Runtime by uid and generation."""

log = logging.getLogger(__name__)


class Scheduler:
    """Looks whenever a Runtime without a node changes, and every ``again`` seconds, as nodes change too."""

    def __init__(
        self,
        api: ApiClient,
        nodes: NodeDirectory,
        *,
        again: float = AGAIN_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._nodes = nodes
        self._again = again
        self._clock = clock

    async def run(self) -> None:
        """Assign, for ever."""
        while True:
            try:
                left = await self.look()
                async with asyncio.timeout(self._again):
                    await self._change(left)
            except TimeoutError:
                continue
            except errors.ApiError as error:
                log.warning("Runtimes without a node wait for the API: %s", error)
                await asyncio.sleep(self._again)

    async def look(self) -> set[Seen]:
        """Assign what can be assigned now; what was looked at. Raises errors.ApiError."""
        found = await self._api.list(kinds.RUNTIMES, field_selector=UNASSIGNED)
        for runtime in found:
            if not runtime["metadata"].get("deletionTimestamp"):
                await self._assign(runtime)
        return {_seen(runtime) for runtime in found}

    async def _change(self, left: set[Seen]) -> None:
        """Wait for a Runtime without a node that was not looked at, or not as it is now."""
        async with aclosing(self._api.watch(kinds.RUNTIMES, field_selector=UNASSIGNED)) as changes:
            async for event in changes:
                if event.type in ("ADDED", "MODIFIED") and _seen(event.object) not in left:
                    return

    async def _assign(self, runtime: dict[str, Any]) -> None:
        metadata = runtime["metadata"]
        try:
            place = await self._nodes.place(runtime["spec"])
        except errors.CommandError as error:
            await self._write_condition(runtime, str(error))
            return
        spec = {"nodeName": place.node_name, "backend": place.backend}
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": spec}
        try:
            await self._api.patch(kinds.RUNTIMES, metadata["name"], metadata["namespace"], patch)
        except (errors.ConflictError, errors.NotFoundError):
            return  # it changed or went meanwhile: the next look sees it
        log.info("%s/%s goes to node %s", metadata["namespace"], metadata["name"], place.node_name)

    async def _write_condition(self, runtime: dict[str, Any], message: str) -> None:
        """Stalled, and why; nobody else writes the status of a Runtime without a node."""
        metadata, status = runtime["metadata"], runtime.get("status") or {}
        known = tuple(conditions.Condition.model_validate(c) for c in status.get("conditions") or ())
        found = conditions.merge(known, [self._condition(metadata, kind, message) for kind in _SAID])
        known_messages = {(c.type, c.message) for c in known}
        if all((c.type, c.message) in known_messages for c in found):
            return
        patch = {"status": {"observedGeneration": metadata["generation"], "conditions": [c.wire() for c in found]}}
        try:
            await self._api.patch(kinds.RUNTIMES, metadata["name"], metadata["namespace"], patch, subresource="status")
        except errors.NotFoundError:
            return

    def _condition(self, metadata: dict[str, Any], kind: str, message: str) -> conditions.Condition:
        return conditions.Condition(
            type=kind,
            status=_SAID[kind],
            reason=reasons.UNPLACEABLE,
            message=message[:1024],
            last_transition_time=rfc3339(self._clock()),
            observed_generation=metadata["generation"],
        )


_SAID: dict[str, conditions.ConditionStatus] = {names.READY: "False", names.STALLED: "True", names.RECONCILING: "False"}


def _seen(runtime: dict[str, Any]) -> Seen:
    return runtime["metadata"]["uid"], runtime["metadata"]["generation"]
