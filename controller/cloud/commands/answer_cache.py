"""Keeps complete answers in memory for commands that are soon redelivered, bounded in bytes and time."""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

from controller.cloud.answers import Answer

BYTES = 16 << 20
SECONDS = 600.0


class _Entry(NamedTuple):
    text: bytes
    expiry: asyncio.TimerHandle


class AnswerCache:
    """Keeps at most ``limit`` bytes of JSON, evicting the oldest, and each answer for at most ``seconds``."""

    def __init__(self, limit: int = BYTES, seconds: float = SECONDS) -> None:
        self._limit = limit
        self._seconds = seconds
        self._entries: dict[str, _Entry] = {}
        self.bytes = 0

    def put(self, name: str, answer: Answer) -> None:
        """Keep an answer, unless it exceeds the limit on its own."""
        self._drop(name)
        text = json.dumps(answer).encode()
        if len(text) > self._limit:
            return
        while self.bytes + len(text) > self._limit:
            self._drop(next(iter(self._entries)))
        expiry = asyncio.get_running_loop().call_later(self._seconds, self._drop, name)
        self._entries[name] = _Entry(text, expiry)
        self.bytes += len(text)

    def get(self, name: str) -> Answer | None:
        """The answer, or None if it is not or no longer kept."""
        entry = self._entries.get(name)
        answer: Answer | None = json.loads(entry.text) if entry else None
        return answer

    def _drop(self, name: str) -> None:
        if entry := self._entries.pop(name, None):
            entry.expiry.cancel()
            self.bytes -= len(entry.text)
