"""Pulling an image to the node of a running pod."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller import errors
from controller.api import reasons, runtimes
from controller.backends.base import Identity, Target
from controller.backends.pods import naming
from controller.backends.pods.images import PULL, Images
from controller.backends.pods.workloads import Workloads
from controller.machinery import kinds as core_kinds
from controller.machinery.kinds import Kind
from tests.support.direct_api import DirectApi

SPEC = runtimes.RuntimeSpec.model_validate({"deviceId": "plc1", "image": "registry.test/plc", "version": "2"})
TARGET = Target(Identity("install", "edge", "plc1"), "a", "uid-a", 1, SPEC)
DIGEST = f"registry.test/plc@sha256:{'1' * 64}"
REJECTED = {"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu"}
EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: ephemeral-storage"}


class Kubelet:
    """Gives every pull pod this status as soon as it is created."""

    def __init__(self, api: DirectApi, status: dict[str, Any]) -> None:
        self._api = api
        self._status = status
        self._create = api.create
        api.create = self.create  # type: ignore[method-assign]

    async def create(self, kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
        """Create the object, then set its status."""
        await self._create(kind, body)
        name = body["metadata"]["name"]
        return await self._api.patch(core_kinds.PODS, name, "edge", {"status": self._status}, subresource="status")


@pytest.fixture
async def running(direct_api: DirectApi) -> DirectApi:
    """An API with the running pod of the runtime."""
    name = naming.pod(TARGET.identity)
    spec = {"nodeName": "node1", "containers": [{"name": "plc", "image": "registry.test/plc:1"}]}
    await direct_api.create(core_kinds.PODS, {"metadata": naming.metadata(TARGET, name), "spec": spec})
    status = {"containerStatuses": [{"name": "plc", "state": {"running": {}}}]}
    await direct_api.patch(core_kinds.PODS, name, "edge", {"status": status}, subresource="status")
    return direct_api


async def resolved(api: DirectApi) -> str | None:
    """The image of the target after its resolution."""

    async def progress(_reason: str, _message: str) -> None:
        """Ignored."""

    async with asyncio.timeout(10):
        return (await Images(api, Workloads(api)).resolve(TARGET, progress)).image


async def test_a_pulled_image_is_resolved_to_its_digest(running: DirectApi) -> None:
    Kubelet(running, {"phase": "Pending", "containerStatuses": [{"name": PULL, "imageID": DIGEST}]})
    assert await resolved(running) == DIGEST


@pytest.mark.parametrize("status", [REJECTED, EVICTED], ids=["rejected", "evicted"])
async def test_a_pull_pod_that_the_kubelet_does_not_run_is_retried(running: DirectApi, status: dict[str, Any]) -> None:
    Kubelet(running, status)
    with pytest.raises(errors.Retry) as raised:
        await resolved(running)
    assert raised.value.reason == reasons.IMAGE_PULL_FAILED
    assert status["message"] in str(raised.value)
