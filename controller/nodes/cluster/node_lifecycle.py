"""The leader's node monitor: marks a silent node as away, on its EdgeNode and on its Runtimes.

It does nothing else: a node that is cut off keeps running its containers, so nothing is deleted or moved. A node that
is back writes its conditions itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from controller import errors, names
from controller.api import edgenodes, kinds, reasons
from controller.machinery import conditions
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.controller import Controller
from controller.machinery.kinds import Kind
from controller.nodes.cluster import node_lease

CHECK_SECONDS = 5.0

log = logging.getLogger(__name__)


class _Renewal(NamedTuple):
    """The last renewal of a Lease: its ``renewTime``, and when we saw it on our own clock."""

    renewed: str
    seen_at: float


class NodeLifecycle:
    """Watches the Leases in ``namespace``.

    A node is away when its Lease has not changed for ``away_seconds`` on our own clock: clocks of nodes may be wrong.
    """

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        *,
        away_seconds: float = node_lease.AWAY_SECONDS,
        interval: float = CHECK_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._away_seconds = away_seconds
        self._clock = clock
        self._renewals: dict[str, _Renewal] = {}
        self.controller = Controller("check which nodes are away", self.check, period=interval)

    async def check(self) -> None:
        """Check every node once. Raises errors.ApiError."""
        selector = f"{names.LEASE_LABEL}={names.NODE_LEASE}"
        leases = await self._api.list(core_kinds.LEASES, self._namespace, label_selector=selector)
        renewed = {lease["metadata"]["name"]: str(lease["spec"].get("renewTime", "")) for lease in leases}
        for node in await self._api.list(kinds.EDGE_NODES):
            name = node["metadata"]["name"]
            if self._is_away(name, renewed.get(node_lease.name_of(name), "")):
                await self._write_status(node)

    def _is_away(self, node: str, renewed: str) -> bool:
        now = asyncio.get_running_loop().time()
        # A new leader has seen no renewal yet, so it gives every node the full time.
        if node not in self._renewals or self._renewals[node].renewed != renewed:
            self._renewals[node] = _Renewal(renewed, now)
        return now - self._renewals[node].seen_at > self._away_seconds

    async def _write_status(self, node: dict[str, Any]) -> None:
        """Mark the node and its Docker runtimes. The pods backend does this for pods, from the cluster's own Node."""
        name = node["metadata"]["name"]
        since = self._renewals[name].renewed or "its start"
        message = (
            f"node {name} is away, last heard from at {since}: the state of its runtimes is unknown; check the host"
        )
        if await self._mark(kinds.EDGE_NODES, node, message):
            log.warning("%s", message)
        # At every check: since the EdgeNode was marked, Runtimes may have been created, or a write may have failed.
        for runtime in await self._api.list(kinds.RUNTIMES, field_selector=f"spec.nodeName={name},spec.backend=Docker"):
            await self._mark(kinds.RUNTIMES, runtime, message)

    async def _mark(self, kind: Kind, found: dict[str, Any], message: str) -> bool:
        """Set Ready=Unknown unless it is set already; return whether it was written.

        The resourceVersion makes the write fail if the node came back and wrote its status meanwhile.
        """
        if edgenodes.away_message(found):
            return False
        before = (found.get("status") or {}).get("conditions") or []
        ready = conditions.build(names.READY, "Unknown", reasons.NODE_AWAY, message, now=self._clock())
        others = [condition for condition in before if condition["type"] != names.READY]
        metadata = found["metadata"]
        patch = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "status": {"conditions": [ready.wire(), *others]},
        }
        try:
            await self._api.patch(kind, metadata["name"], metadata.get("namespace", ""), patch, subresource="status")
        except (errors.ConflictError, errors.NotFoundError):
            return False  # changed or deleted meanwhile: the next check decides
        return True
