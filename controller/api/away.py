"""Read the NodeAway reason that the leader of a cluster writes to the EdgeNode and the Runtimes of a silent node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller import names
from controller.api import reasons
from controller.machinery import conditions


def message(body: Mapping[str, Any]) -> str:
    """Return the message of NodeAway on this EdgeNode or Runtime, or "" if its node is reachable."""
    ready = conditions.of(body, names.READY)
    return str(ready.get("message", "")) if ready.get("reason") == reasons.NODE_AWAY else ""
