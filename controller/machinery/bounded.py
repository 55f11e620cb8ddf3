"""Reads what another process sends, up to a limit: it may send without end, and must not use up our memory."""

from __future__ import annotations

from typing import Protocol

PART_BYTES = 1 << 16


class Stream(Protocol):
    """The stream readers of asyncio and aiohttp."""

    async def read(self, n: int = -1, /) -> bytes:
        """Return at most ``n`` bytes as soon as there are any; none at the end."""


async def read(stream: Stream, limit: int) -> tuple[bytes, bool]:
    """Return the first ``limit`` bytes, and whether there are more, which are not read."""
    content = bytearray()
    while part := await stream.read(PART_BYTES):
        content += part
        if len(content) > limit:
            return bytes(content[:limit]), True
    return bytes(content), False
