"""Assigns a node and a backend to Runtimes that have none: those made by a person, Helm or GitOps (design 14).

The leader does this once for each Runtime; the assignment never changes. A Runtime that fits no node says so in its
status and is tried again.
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
from controller.machinery import conditions
from controller.machinery.client import ApiClient
from controller.node_api.node import NodeDirectory

UNASSIGNED = "spec.nodeName="
INTERVAL_SECONDS = 15.0

RuntimeVersion = tuple[str, int]
"""A Runtime by uid and generation."""

log = logging.getLogger(__name__)


class Scheduler:
    """Runs whenever a Runtime without a node changes, and every ``interval`` seconds because nodes change too."""

    def __init__(
        self,
        api: ApiClient,
        nodes: NodeDirectory,
        *,
        interval: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._nodes = nodes
        self._interval = interval
        self._clock = clock

    async def run(self) -> None:
        """Assign nodes until cancelled."""
        while True:
            try:
                considered = await self.schedule()
                async with asyncio.timeout(self._interval):
                    await self._wait_for_change(considered)
            except TimeoutError:
                continue
            except errors.ApiError as error:
                log.warning("Failed to schedule Runtimes: %s", error)
                await asyncio.sleep(self._interval)

    async def schedule(self) -> set[RuntimeVersion]:
        """Assign what can be assigned now; return the Runtimes it considered. Raises errors.ApiError."""
        found = await self._api.list(kinds.RUNTIMES, field_selector=UNASSIGNED)
        for runtime in found:
            if not runtime["metadata"].get("deletionTimestamp"):
                await self._assign(runtime)
        return {_version(runtime) for runtime in found}

    async def _wait_for_change(self, considered: set[RuntimeVersion]) -> None:
        """Wait for a Runtime without a node that is not in ``considered``: a new one, or a new generation."""
        async with aclosing(self._api.watch(kinds.RUNTIMES, field_selector=UNASSIGNED)) as changes:
            async for event in changes:
                if event.type in ("ADDED", "MODIFIED") and _version(event.object) not in considered:
                    return

    async def _assign(self, runtime: dict[str, Any]) -> None:
        metadata = runtime["metadata"]
        try:
            placement = await self._nodes.choose(runtime["spec"])
        except errors.CommandError as error:
            await self._write_condition(runtime, str(error))
            return
        spec = {"nodeName": placement.node_name, "backend": placement.backend}
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": spec}
        try:
            await self._api.patch(kinds.RUNTIMES, metadata["name"], metadata["namespace"], patch)
        except (errors.ConflictError, errors.NotFoundError):
            return  # changed or deleted meanwhile: the next pass sees it
        log.info("Assigned %s/%s to node %s", metadata["namespace"], metadata["name"], placement.node_name)

    async def _write_condition(self, runtime: dict[str, Any], message: str) -> None:
        """Set Stalled with the reason. No other process writes the status of a Runtime without a node."""
        metadata, status = runtime["metadata"], runtime.get("status") or {}
        current = tuple(conditions.Condition.model_validate(c) for c in status.get("conditions") or ())
        now, generation = self._clock(), metadata["generation"]
        built = (
            conditions.build(kind, state, reasons.UNPLACEABLE, message, now=now, generation=generation)
            for kind, state in _UNPLACEABLE.items()
        )
        found = conditions.merge(current, built)
        current_messages = {(c.type, c.message) for c in current}
        if all((c.type, c.message) in current_messages for c in found):
            return
        patch = {"status": {"observedGeneration": metadata["generation"], "conditions": [c.wire() for c in found]}}
        try:
            await self._api.patch(kinds.RUNTIMES, metadata["name"], metadata["namespace"], patch, subresource="status")
        except errors.NotFoundError:
            return


_UNPLACEABLE: dict[str, conditions.ConditionStatus] = {
    names.READY: "False",
    names.STALLED: "True",
    names.RECONCILING: "False",
}


def _version(runtime: dict[str, Any]) -> RuntimeVersion:
    return runtime["metadata"]["uid"], runtime["metadata"]["generation"]
