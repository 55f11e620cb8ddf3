"""Streaming responses of the engine, and decoders for their two formats. Sends no request."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Response

# Bounds the memory that a line without an end would take.
_MAX_LINE = 4 * 2**20
_HEADER = 8


class Stream:
    """Yields the bytes of one response as they arrive. Always close it, even after reading to the end.

    ``run`` runs a blocking function in a thread and translates its errors.
    """

    def __init__(self, response: Response, run: Callable[[Callable[[], bytes]], Awaitable[bytes]]) -> None:
        self._response = response
        # None yields each HTTP chunk as it arrives: one event must not wait for the next ones to fill a buffer.
        self._chunks = response.iter_content(chunk_size=None)
        self._run = run

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        # A future of asyncio cannot carry StopIteration, so an empty chunk marks the end.
        chunk = await self._run(lambda: next(self._chunks, b""))
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Close it even while a thread blocks in a read: shutdown wakes that thread, closing alone does not."""
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # after the end the pool has the connection back
            self._response.raw.shutdown()
        self._response.close()


async def json_lines(stream: Stream) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the JSON objects of a stream with one per line; stop at a line of more than 4 MB."""
    rest = b""
    async with aclosing(stream):
        async for chunk in stream:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield json.loads(line)
            if len(rest) > _MAX_LINE:
                return


async def payloads(stream: Stream) -> AsyncGenerator[bytes, None]:
    """Yield the payload of each frame of a container's output (API reference: ContainerAttach, stream format).

    Frames and chunks have independent boundaries.
    """
    rest = b""
    async with aclosing(stream):
        async for chunk in stream:
            rest += chunk
            while len(rest) >= _HEADER:
                end = _HEADER + int.from_bytes(rest[4:_HEADER], "big")
                if len(rest) < end:
                    break
                yield rest[_HEADER:end]
                rest = rest[end:]
