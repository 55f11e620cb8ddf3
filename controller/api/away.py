"""Whether a node is heard of, as the leader of a cluster writes it on its EdgeNode and on its Runtimes. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller import names
from controller.api import reasons


def why(found: Mapping[str, Any]) -> str:
    """Why the node of this EdgeNode or Runtime is away, for a person; "" when it is not."""
    conditions: list[dict[str, Any]] = (found.get("status") or {}).get("conditions") or []
    reported = (
        c.get("message", "") for c in conditions if c["type"] == names.READY and c["reason"] == reasons.NODE_AWAY
    )
    return next(reported, "")
