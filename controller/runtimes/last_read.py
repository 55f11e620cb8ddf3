"""The Runtimes as this process read or wrote them last, for repairs during an outage of the API. No I/O.

Kept as compressed JSON: parsed, a Runtime takes thirty times the memory, and an outage is rare.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from controller.api.runtimes import Runtime
from controller.runtimes.keys import Key

LEVEL = 1  # higher ones save little


class _Kept(NamedTuple):
    runtime: bytes
    rival: str


class LastRead:
    """One Runtime for each key, with the rival for its dedicated interface ("" for none)."""

    def __init__(self) -> None:
        self._kept: dict[Key, _Kept] = {}

    def remember(self, key: Key, runtime: Runtime, rival: str) -> None:
        """Replace the Runtime of a key."""
        text = runtime.model_dump_json(by_alias=True, exclude_defaults=True)
        self._kept[key] = _Kept(zlib.compress(text.encode(), LEVEL), rival)

    def forget(self, key: Key) -> None:
        """Remove the Runtime of a key, if there is one."""
        self._kept.pop(key, None)

    def get(self, key: Key) -> tuple[Runtime, str] | None:
        """The Runtime of a key and its rival; None if it was never read."""
        kept = self._kept.get(key)
        return (Runtime.model_validate_json(zlib.decompress(kept.runtime)), kept.rival) if kept else None
