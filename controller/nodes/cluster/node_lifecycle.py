"""The leader's watch over the nodes: one that is not heard of is told as such, on its EdgeNode and on its Runtimes.

Nothing else is done: a node that is cut off goes on running what it runs, so nothing is deleted or moved. When the
node is back it writes its conditions itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from controller import errors, names
from controller.api import away, kinds, reasons
from controller.machinery import conditions
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.kinds import Kind
from controller.machinery.timestamps import rfc3339
from controller.nodes.cluster import node_lease

LOOK_SECONDS = 5.0

log = logging.getLogger(__name__)


class _Sign(NamedTuple):
    """The last change of a Lease: what it said, and when we saw it on our own clock."""

    renewed: str
    seen_at: float


class NodeLifecycle:
    """Watches the Leases in ``namespace``. Who writes here has been quiet for ``away_seconds`` by our own clock."""

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        *,
        away_seconds: float = node_lease.AWAY_SECONDS,
        every: float = LOOK_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._away_seconds = away_seconds
        self._every = every
        self._clock = clock
        self._signs: dict[str, _Sign] = {}

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            try:
                await self.look()
            except errors.ApiError as error:
                log.warning("Whether nodes are away cannot be told: %s", error)
            await asyncio.sleep(self._every)

    async def look(self) -> None:
        """Look once at every node. Raises errors.ApiError."""
        selector = f"{names.LEASE_LABEL}={names.NODE_LEASE}"
        leases = await self._api.list(core_kinds.LEASES, self._namespace, label_selector=selector)
        renewed = {lease["metadata"]["name"]: str(lease["spec"].get("renewTime", "")) for lease in leases}
        for node in await self._api.list(kinds.EDGE_NODES):
            name = node["metadata"]["name"]
            if self._is_away(name, renewed.get(node_lease.name_of(name), "")):
                await self._write_status(node)

    def _is_away(self, node: str, renewed: str) -> bool:
        now = asyncio.get_running_loop().time()
        if node not in self._signs or self._signs[node].renewed != renewed:
            self._signs[node] = _Sign(renewed, now)
        return now - self._signs[node].seen_at > self._away_seconds

    async def _write_status(self, node: dict[str, Any]) -> None:
        """On its Docker runtimes: of pods the cluster tells, and the pods backend writes it down."""
        name = node["metadata"]["name"]
        since = self._signs[name].renewed or "its start"
        message = f"node {name} is away, last heard of at {since}: nobody knows how its runtimes are; look at the host"
        if await self._mark(kinds.EDGE_NODES, node, message):
            log.warning("%s", message)
        for runtime in await self._api.list(kinds.RUNTIMES, field_selector=f"spec.nodeName={name},spec.backend=Docker"):
            await self._mark(kinds.RUNTIMES, runtime, message)

    async def _mark(self, kind: Kind, found: dict[str, Any], message: str) -> bool:
        """Write Ready=Unknown where it is not written yet; the object must be the one we read."""
        if away.message(found):
            return False
        before = (found.get("status") or {}).get("conditions") or []
        ready = conditions.Condition(
            type=names.READY,
            status="Unknown",
            reason=reasons.NODE_AWAY,
            message=message,
            last_transition_time=rfc3339(self._clock()),
        )
        others = [condition for condition in before if condition["type"] != names.READY]
        metadata = found["metadata"]
        patch = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "status": {"conditions": [ready.wire(), *others]},
        }
        try:
            await self._api.patch(kind, metadata["name"], metadata.get("namespace", ""), patch, subresource="status")
        except (errors.ConflictError, errors.NotFoundError):
            return False  # somebody is there after all, or it is gone: the next look tells
        return True
