"""The state of the cloud link as a condition of the EdgeNode. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.api import edgenodes, reasons
from controller.machinery.timestamps import rfc3339
from controller.nodes.edgenode_status import Cloud

if TYPE_CHECKING:
    from controller.cloud.link import LinkState


def without_cloud() -> Cloud:
    """No cloud is configured."""
    return Cloud("False", reasons.NO_CLOUD, "EDGE_CLOUD_URL is empty")


def retired() -> Cloud:
    """The agent was deleted in the cloud."""
    message = "delete_orchestrator retired this agent; run `edge-controller reset` to use it again"
    return Cloud("False", reasons.RETIRED, message)


def of(state: LinkState, url: str) -> Cloud:
    """The condition for a state of the link, and the facts behind it."""
    link = edgenodes.CloudLink(
        url=url,
        connected_since=None if state.connected_since is None else rfc3339(state.connected_since),
        last_error=(state.last_error or "")[:1024],
        certificate_not_after=None if state.certificate_end is None else rfc3339(state.certificate_end.timestamp()),
    )
    if state.connected:
        return Cloud("True", reasons.CONNECTED, f"Connected to {url}", state.agent_id, link)
    message = state.last_error or "Connecting for the first time"
    return Cloud("False", reasons.DISCONNECTED, message, state.agent_id, link)
