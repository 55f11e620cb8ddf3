"""Complete messages for the wire: what every message carries is filled in where it is missing. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def complete(topic: str, fields: Mapping[str, Any], now: float) -> dict[str, Any]:
    """The message of ``topic`` with these fields; ``now`` (Unix seconds) makes id and time where none are given."""
    requested_at = datetime.fromtimestamp(now, UTC).isoformat()
    return {"correlation_id": int(now * 1000), "action": topic, "requested_at": requested_at, **fields}
