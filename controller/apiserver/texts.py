"""JSON as it is stored and sent: the same text, so an object that is shown as it is stored is encoded once."""

from __future__ import annotations

import json
from typing import Any

encoded = json.JSONEncoder(separators=(",", ":")).encode


def of_shown(shown: Any, stored: Any, text: str) -> str:
    """The JSON of an object as it is shown; ``text`` is that of the stored one, "" if unknown."""
    return text if text and shown is stored else encoded(shown)
