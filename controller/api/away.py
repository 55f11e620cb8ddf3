"""Read the NodeAway reason that the leader of a cluster writes to the EdgeNode and the Runtimes of a silent node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller import names
from controller.api import reasons


def message(body: Mapping[str, Any]) -> str:
    """Return the message of NodeAway on this EdgeNode or Runtime, or "" if its node is reachable."""
    conditions: list[dict[str, Any]] = (body.get("status") or {}).get("conditions") or []
    found = (c.get("message", "") for c in conditions if c["type"] == names.READY and c["reason"] == reasons.NODE_AWAY)
    return next(found, "")
