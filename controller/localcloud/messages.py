"""Completes messages with the fields that every message must have. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def complete(topic: str, fields: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return a message of ``topic``; id and time default to values derived from ``now`` (Unix seconds)."""
    requested_at = datetime.fromtimestamp(now, UTC).isoformat()
    return {"correlation_id": int(now * 1000), "action": topic, "requested_at": requested_at, **fields}
