"""The stream of changes of pods, which merges two watches and propagates their failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from controller.backends.base import Contact, Identity
from controller.backends.pods.changes import Changes
from controller.machinery import kinds as core_kinds
from controller.machinery.kinds import Kind
from tests.support.fake_api import FakeApi


async def exhausted(stream: AsyncIterator[Identity | Contact]) -> None:
    """Read the stream to its end."""
    async for _ in stream:
        pass


@pytest.mark.parametrize("watched", [core_kinds.PODS, core_kinds.EVENTS])
async def test_the_failure_of_a_watch_ends_the_stream(watched: Kind) -> None:
    api = FakeApi()

    def fault(verb: str, kind: Kind) -> None:
        if verb == "watch" and kind is watched:
            raise KeyError("a fault of ours")

    api.fault = fault
    stream = Changes(api, "i-1").stream()
    with pytest.raises(KeyError, match="a fault of ours"):
        await asyncio.wait_for(exhausted(stream), 30)
