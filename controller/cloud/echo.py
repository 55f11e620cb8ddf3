"""What every answer repeats of its event: the topic and the correlation id."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

MOST_BITS = 256
MOST_CHARACTERS = 253


def echo(event: str, arguments: Sequence[Any]) -> dict[str, Any]:
    """``action`` and ``correlation_id`` as received; the latter is None where an answer cannot carry it."""
    payload = arguments[0] if len(arguments) == 1 else None
    received = payload.get("correlation_id") if isinstance(payload, dict) else None
    return {"action": event, "correlation_id": received if _is_carried(received) else None}


def _is_carried(received: Any) -> bool:
    if isinstance(received, float):
        return math.isfinite(received)
    if isinstance(received, int):
        return received.bit_length() <= MOST_BITS
    return isinstance(received, str) and len(received) <= MOST_CHARACTERS
