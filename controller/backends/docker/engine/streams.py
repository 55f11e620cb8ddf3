"""Answers of the engine that come piece by piece, and the two forms they come in. Knows no request."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Response

_MAX_LINE = 4 * 2**20
_HEADER = 8


class Stream:
    """The bytes of one answer as they come; ends when the engine ends it. Close it, read to the end or not.

    ``run`` runs a blocking function in a thread and turns its errors into ours.
    """

    def __init__(self, response: Response, run: Callable[[Callable[[], bytes]], Awaitable[bytes]]) -> None:
        self._response = response
        self._chunks = response.iter_content(chunk_size=None)
        self._run = run

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._run(lambda: next(self._chunks, b""))
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """End it, also while a thread waits in a read: closing alone would not wake that."""
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # read to the end: the connection is given back
            self._response.raw.shutdown()
        self._response.close()


async def json_lines(stream: Stream) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON objects of a stream with one in each line; a line of more than 4 MB ends it."""
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
    """The contents of the frames of a container's output (API reference: ContainerAttach, stream format).

    A frame may begin and end anywhere in the chunks.
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
