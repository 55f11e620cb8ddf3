"""Names of objects, derived from texts that Kubernetes does not accept as names. Pure."""

from __future__ import annotations

import hashlib
import re

_HASH_LENGTH = 8


def readable(text: str, limit: int, prefix: str = "") -> str:
    """A name that resembles the text, of at most ``limit`` characters; its hash keeps different texts apart.

    It starts with ``prefix`` and a dash unless the text starts with a letter. It must never change:
    existing objects have it.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if prefix and not slug[:1].isalpha():
        slug = f"{prefix}-{slug}"
    # The cut may end at a dash, and a text without letters and digits leaves only the hash.
    return f"{slug[: limit - _HASH_LENGTH - 1].strip('-')}-{digest(text)}".lstrip("-")


def digest(text: str) -> str:
    """A short hash of the text."""
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]
