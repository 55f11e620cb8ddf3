"""Writes the state of the leader's cloud link to every EdgeNode, so that ``kubectl get edgenodes`` shows it.

A node preserves this condition when it writes its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from controller import errors, names
from controller.api import kinds
from controller.machinery import conditions
from controller.machinery.client import ApiClient
from controller.machinery.controller import Controller
from controller.nodes.edgenode_status import Cloud

INTERVAL_SECONDS = 15.0  # a new EdgeNode gets the condition within this time
MIN_SECONDS = 2.0  # between two writes at least: a flapping link is not written every time


class CloudStatusPublisher:
    """``cloud`` returns the state of the link; trigger the controller when it has changed."""

    def __init__(
        self,
        api: ApiClient,
        cloud: Callable[[], Cloud],
        *,
        interval: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._cloud = cloud
        self._clock = clock
        self.controller = Controller(
            "write the state of the cloud link to the EdgeNodes", self.write, period=interval, pause=MIN_SECONDS
        )

    async def write(self) -> None:
        """Update the EdgeNodes that show something else. Raises errors.ApiError."""
        cloud = self._cloud()
        for node in await self._api.list(kinds.EDGE_NODES):
            await self._publish(node, cloud)

    async def _publish(self, node: dict[str, Any], cloud: Cloud) -> None:
        status = node.get("status") or {}
        previous = [conditions.Condition.model_validate(c) for c in status.get("conditions") or ()]
        before = conditions.find(previous, names.CLOUD_CONNECTED)
        if before and (before.status, before.reason, before.message) == (cloud.status, cloud.reason, cloud.message):
            return
        connected = conditions.build(
            names.CLOUD_CONNECTED, cloud.status, cloud.reason, cloud.message, now=self._clock()
        )
        merged = conditions.merge(previous, [connected])
        others = [condition for condition in previous if condition.type != names.CLOUD_CONNECTED]
        # A merge patch removes only what it names as null (RFC 7396).
        cleared = dict.fromkeys(("connectedSince", "lastError", "certificateNotAfter"))
        patch = {
            # The list of conditions is replaced as a whole, so a write must not undo what the node has written since.
            "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
            "status": {
                "agentId": cloud.agent_id,
                "cloud": {**cleared, **cloud.link.wire()},
                "conditions": [condition.wire() for condition in (*others, *merged)],
            },
        }
        try:
            await self._api.patch(kinds.EDGE_NODES, node["metadata"]["name"], "", patch, subresource="status")
        except errors.ConflictError:  # the node wrote at the same time: try again soon
            self.controller.trigger()
        except errors.NotFoundError:
            pass
