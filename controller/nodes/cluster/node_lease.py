"""The Lease that shows a node is alive, renewed every 10 s (API reference: coordination.k8s.io/v1 Lease)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from controller import errors, names
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.controller import Controller
from controller.machinery.timestamps import rfc3339_micro

RENEW_SECONDS = 10.0
# Four periods: three renewals in a row may fail.
AWAY_SECONDS = 40.0  # a node whose Lease was not renewed for this long is away


def name_of(node: str) -> str:
    """The name of a node's Lease."""
    return f"edgenode-{node}"


class NodeLease:
    """Renews the Lease of ``node``; calls ``beat`` after each attempt, successful or not."""

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        node: str,
        beat: Callable[[], None],
        *,
        interval: float = RENEW_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._node = node
        self._clock = clock
        self.controller = Controller(
            "renew this node's Lease", self.renew, period=interval, timeout=interval, beat=beat
        )

    async def renew(self) -> None:
        """Renew the Lease once. Raises errors.ApiError."""
        lease, spec = name_of(self._node), self._spec()
        try:
            await self._api.patch(core_kinds.LEASES, lease, self._namespace, {"spec": spec})
        except errors.NotFoundError:
            labels = {names.LEASE_LABEL: names.NODE_LEASE}
            metadata = {"name": lease, "namespace": self._namespace, "labels": labels}
            await self._api.create(core_kinds.LEASES, {"metadata": metadata, "spec": spec})

    def _spec(self) -> dict[str, Any]:
        return {
            "holderIdentity": self._node,
            "leaseDurationSeconds": round(AWAY_SECONDS),
            "renewTime": rfc3339_micro(self._clock()),
        }
