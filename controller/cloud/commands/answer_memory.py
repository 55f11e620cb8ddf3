"""Keeps complete answers in memory for commands that are soon redelivered, bounded in bytes and time."""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

from controller.cloud.commands.answers import Answer

BYTES = 16 << 20
SECONDS = 600.0


class _Kept(NamedTuple):
    text: bytes
    expiry: asyncio.TimerHandle


class AnswerMemory:
    """Keeps at most ``limit`` bytes of JSON, evicting the oldest, and each answer for at most ``seconds``."""

    def __init__(self, limit: int = BYTES, seconds: float = SECONDS) -> None:
        self._limit = limit
        self._seconds = seconds
        self._kept: dict[str, _Kept] = {}
        self.bytes = 0

    def put(self, name: str, answer: Answer) -> None:
        """Keep an answer, unless it exceeds the limit on its own."""
        self._drop(name)
        text = json.dumps(answer).encode()
        if len(text) > self._limit:
            return
        while self.bytes + len(text) > self._limit:
            self._drop(next(iter(self._kept)))
        expiry = asyncio.get_running_loop().call_later(self._seconds, self._drop, name)
        self._kept[name] = _Kept(text, expiry)
        self.bytes += len(text)

    def get(self, name: str) -> Answer | None:
        """The answer, or None if it is not or no longer kept."""
        kept = self._kept.get(name)
        answer: Answer | None = json.loads(kept.text) if kept else None
        return answer

    def _drop(self, name: str) -> None:
        if kept := self._kept.pop(name, None):
            kept.expiry.cancel()
            self.bytes -= len(kept.text)
