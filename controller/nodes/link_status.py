"""The state of this process's cloud link, as the EdgeNodes show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from controller.api import edgenodes, reasons
from controller.machinery.timestamps import rfc3339
from controller.nodes.edgenode_status import Cloud

# Not imported at run time: a process without the role link must not load the Socket.IO client.
if TYPE_CHECKING:
    from controller.cloud.link import LinkState

RETIRED = "delete_orchestrator retired this agent; run `edge-controller reset` to use it again"


class LinkStatus:
    """The link to ``url`` writes it, and one publisher of EdgeNodes reads it. Without a link there is no cloud."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._state: LinkState | None = None
        self._changed: Callable[[], None] | None = None
        self.retired = False  # delete_orchestrator: there is no link any more

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` when the link comes up, goes down, or stays down for another reason."""
        self._changed = changed

    def observe(self, state: LinkState) -> None:
        """Take over a new state of the link."""
        before, self._state = self._state, state
        if self._changed and (before is None or _shown(before) != _shown(state)):
            self._changed()

    def current(self) -> Cloud:
        """Return the condition and the facts behind it."""
        if self.retired:
            return Cloud("False", reasons.RETIRED, RETIRED)
        if self._state is None:
            return Cloud("False", reasons.NO_CLOUD, "EDGE_CLOUD_URL is empty")
        return self._of(self._state)

    def _of(self, state: LinkState) -> Cloud:
        end = state.certificate_end
        link = edgenodes.CloudLink(
            url=self._url,
            connected_since=None if state.connected_since is None else rfc3339(state.connected_since),
            last_error=(state.last_error or "")[:1024],
            certificate_not_after=None if end is None else rfc3339(end.timestamp()),
        )
        if state.connected:
            return Cloud("True", reasons.CONNECTED, f"Connected to {self._url}", state.agent_id, link)
        message = state.last_error or "Connecting for the first time"
        return Cloud("False", reasons.DISCONNECTED, message, state.agent_id, link)


def _shown(state: LinkState) -> tuple[bool, str | None]:
    # Not the number of attempts: each one would cause a check of the EdgeNodes.
    return state.connected, state.last_error
