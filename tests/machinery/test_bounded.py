"""What another process sends is read up to a limit."""

from __future__ import annotations

import asyncio

import pytest

from controller.machinery import bounded


@pytest.mark.parametrize(
    ("parts", "read"),
    [([], (b"", False)), ([b"ab", b"cd"], (b"abcd", False)), ([b"ab", b"cde"], (b"abcd", True))],
)
async def test_the_limit_is_the_most_that_is_returned(parts: list[bytes], read: tuple[bytes, bool]) -> None:
    stream = asyncio.StreamReader()
    for part in parts:
        stream.feed_data(part)
    stream.feed_eof()
    assert await bounded.read(stream, 4) == read


async def test_a_stream_without_an_end_is_left() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(b"abcde")
    assert await bounded.read(stream, 4) == (b"abcd", True)
