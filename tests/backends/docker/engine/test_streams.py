"""Streamed answers of the engine, whatever the chunks they arrive in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.backends.docker.engine.streams import Stream, json_lines, payloads


class Chunks:
    """A response of the engine in chunks."""

    def __init__(self, content: bytes, size: int) -> None:
        self.content, self.size = content, size
        self.raw = self

    def iter_content(self, chunk_size: int | None) -> Iterator[bytes]:
        """Like requests."""
        return iter([self.content[i : i + self.size] for i in range(0, len(self.content), self.size)])

    def shutdown(self) -> None:
        """Like urllib3 after reading to the end."""
        raise RuntimeError("released")

    def close(self) -> None:
        """Do nothing."""


async def directly(read: Any) -> bytes:
    """Run the function without a thread."""
    return bytes(read())


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2), max_size=5), st.integers(1, 9))
async def test_lines_are_reassembled_from_any_chunks(lines: list[dict[str, str]], size: int) -> None:
    content = b"".join(json.dumps(line).encode() + b"\r\n" for line in lines)
    stream: Any = Stream(Chunks(content, size), directly)  # type: ignore[arg-type]

    assert [line async for line in json_lines(stream)] == lines


@given(st.lists(st.binary(max_size=30), max_size=5), st.integers(1, 9))
async def test_frames_are_reassembled_from_any_chunks(frames: list[bytes], size: int) -> None:
    content = b"".join(b"\x01\0\0\0" + len(frame).to_bytes(4, "big") + frame for frame in frames)
    stream: Any = Stream(Chunks(content, size), directly)  # type: ignore[arg-type]

    assert [frame async for frame in payloads(stream)] == frames
