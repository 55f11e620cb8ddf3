"""The fields that every answer echoes from its event: the topic and the correlation id."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

MAX_BITS = 256
MAX_CHARACTERS = 253


def echo(event: str, arguments: Sequence[Any]) -> dict[str, Any]:
    """``action`` and ``correlation_id`` as received; the latter is None if it cannot be sent back."""
    payload = arguments[0] if len(arguments) == 1 else None
    received = payload.get("correlation_id") if isinstance(payload, dict) else None
    return {"action": event, "correlation_id": received if _can_be_sent(received) else None}


def _can_be_sent(received: Any) -> bool:
    if isinstance(received, float):
        return math.isfinite(received)
    if isinstance(received, int):
        return received.bit_length() <= MAX_BITS
    return isinstance(received, str) and len(received) <= MAX_CHARACTERS
