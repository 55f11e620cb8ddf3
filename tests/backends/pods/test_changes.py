"""The stream of changes of pods, which merges two watches and propagates their failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from controller import names
from controller.backends.base import Contact, Identity
from controller.backends.pods import naming
from controller.backends.pods.changes import Changes
from controller.machinery import kinds as core_kinds
from controller.machinery.kinds import Kind
from tests.support.direct_api import DirectApi


async def exhausted(stream: AsyncIterator[Identity | Contact]) -> None:
    """Read the stream to its end."""
    async for _ in stream:
        pass


@pytest.mark.parametrize("watched", [core_kinds.PODS, core_kinds.EVENTS])
async def test_the_failure_of_a_watch_ends_the_stream(direct_api: DirectApi, watched: Kind) -> None:

    def fault(verb: str, kind: Kind) -> None:
        if verb == "watch" and kind is watched:
            raise KeyError("a fault of ours")

    direct_api.fault = fault
    stream = Changes(direct_api, "i-1").stream()
    with pytest.raises(KeyError, match="a fault of ours"):
        await asyncio.wait_for(exhausted(stream), 30)


async def create_pod(api: DirectApi, name: str) -> Identity:
    """Create the pod of a runtime; return the runtime's identity."""
    identity = Identity("i-1", "edge", name)
    annotations = {names.NAMESPACE_LABEL: "edge", names.DEVICE_LABEL: name}
    metadata = {"name": name, "namespace": "edge", "labels": naming.labels(identity), "annotations": annotations}
    await api.create(core_kinds.PODS, {"metadata": metadata})
    return identity


async def test_a_connection_is_reported_before_the_pods_and_then_each_change(direct_api: DirectApi) -> None:
    present = await create_pod(direct_api, "plc-1")
    stream = Changes(direct_api, "i-1").stream()
    async with asyncio.timeout(30), aclosing(stream):
        assert [await anext(stream), await anext(stream)] == [Contact.CONNECTED, present]
        second = await create_pod(direct_api, "plc-2")
        assert await anext(stream) == second


async def test_a_warning_about_a_pod_is_a_change_of_its_runtime(direct_api: DirectApi) -> None:
    identity = await create_pod(direct_api, "plc-1")
    stream = Changes(direct_api, "i-1").stream()
    async with asyncio.timeout(30), aclosing(stream):
        assert [await anext(stream), await anext(stream)] == [Contact.CONNECTED, identity]
        uid = direct_api.objects["pods", "edge", "plc-1"]["metadata"]["uid"]
        event = {"type": "Warning", "involvedObject": {"kind": "Pod", "namespace": "edge", "uid": uid}}
        await direct_api.create(core_kinds.EVENTS, {"metadata": {"name": "w", "namespace": "edge"}, **event})
        assert await anext(stream) == identity
