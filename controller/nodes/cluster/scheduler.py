"""Assigns a node and a backend to Runtimes that have none: those made by a person, Helm or GitOps (design 14).

The leader does this once for each Runtime; the assignment never changes. A Runtime that fits no node says so in its
status and is tried again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from controller import errors, names
from controller.api import kinds, reasons, served_namespaces
from controller.api.served_namespaces import ServedNamespaces
from controller.machinery import conditions
from controller.machinery.client import ApiClient, Listing
from controller.machinery.controller import Controller
from controller.machinery.informer import Informer
from controller.node_api.node import NodeDirectory

UNASSIGNED = "spec.nodeName="
INTERVAL_SECONDS = 15.0

_Version = tuple[str, int]
"""A Runtime by uid and generation."""

log = logging.getLogger(__name__)


class Scheduler:
    """Runs whenever a Runtime without a node changes, and every ``interval`` seconds because nodes change too.

    A Runtime outside of the ``served`` namespaces gets no node.
    """

    def __init__(
        self,
        api: ApiClient,
        nodes: NodeDirectory,
        served: ServedNamespaces,
        *,
        interval: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._nodes = nodes
        self._served = served
        self._clock = clock
        self._considered: set[_Version] = set()
        self._unassigned = Informer(api, kinds.RUNTIMES, field_selector=UNASSIGNED)
        self.controller = Controller("schedule Runtimes", self.schedule, period=interval)

    async def follow(self) -> None:
        """Trigger the controller for each Runtime without a node that it has not considered: a new generation.

        Its own writes of a status make no new generation.
        """
        async for change in self._unassigned.changes():
            if isinstance(change, Listing) or (
                change.type in ("ADDED", "MODIFIED") and _version(change.object) not in self._considered
            ):
                self.controller.trigger()

    async def schedule(self) -> None:
        """Assign what can be assigned now. Raises errors.ApiError."""
        found = await self._api.list(kinds.RUNTIMES, field_selector=UNASSIGNED)
        for runtime in found:
            if not runtime["metadata"].get("deletionTimestamp"):
                await self._assign(runtime)
        # Replaced as a whole, so that Runtimes that are gone do not accumulate.
        self._considered = {_version(runtime) for runtime in found}

    async def _assign(self, runtime: dict[str, Any]) -> None:
        metadata = runtime["metadata"]
        if not self._served.serves(metadata["namespace"]):
            message = served_namespaces.refusal(metadata["namespace"])
            await self._write_condition(runtime, reasons.NAMESPACE_NOT_SERVED, message)
            return
        try:
            placement = await self._nodes.choose(runtime["spec"])
        except errors.CommandError as error:
            await self._write_condition(runtime, reasons.UNPLACEABLE, str(error))
            return
        spec = {"nodeName": placement.node_name, "backend": placement.backend}
        # Fails if the Runtime has changed since it was read: the node was chosen for the old spec.
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": spec}
        try:
            await self._api.patch(kinds.RUNTIMES, metadata["name"], metadata["namespace"], patch)
        except (errors.ConflictError, errors.NotFoundError):
            return  # changed or deleted meanwhile: the next pass sees it
        log.info("Assigned %s/%s to node %s", metadata["namespace"], metadata["name"], placement.node_name)

    async def _write_condition(self, runtime: dict[str, Any], reason: str, message: str) -> None:
        """Set Stalled with the reason. No other process writes the status of a Runtime without a node."""
        metadata, status = runtime["metadata"], runtime.get("status") or {}
        current = tuple(conditions.Condition.model_validate(c) for c in status.get("conditions") or ())
        now, generation = self._clock(), metadata["generation"]
        built = (
            conditions.build(kind, state, reason, message, now=now, generation=generation)
            for kind, state in _STALLED.items()
        )
        found = conditions.merge(current, built)
        current_messages = {(c.type, c.message) for c in current}
        if all((c.type, c.message) in current_messages for c in found):
            return
        patch = {
            # The reason is that of the spec that was read, and conditions are replaced as a whole.
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "status": {"observedGeneration": generation, "conditions": [c.wire() for c in found]},
        }
        try:
            await self._api.patch(kinds.RUNTIMES, metadata["name"], metadata["namespace"], patch, subresource="status")
        except (errors.ConflictError, errors.NotFoundError):
            return  # changed or deleted meanwhile: the next pass sees it


_STALLED: dict[str, conditions.ConditionStatus] = {
    names.READY: "False",
    names.STALLED: "True",
    names.RECONCILING: "False",
}


def _version(runtime: dict[str, Any]) -> _Version:
    return runtime["metadata"]["uid"], runtime["metadata"]["generation"]
