"""kopf on the embedded API, with real watches and finalizers and a backend in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller import names
from controller.api import crds, kinds
from controller.apiserver.server import ApiServer
from controller.boottime import Boot
from controller.machinery.client import ApiClient, Endpoint
from controller.machinery.event_recorder import EventRecorder
from controller.runtimes.keys import KeyIndex
from controller.runtimes.operator.thread import OperatorThread
from controller.runtimes.reconcile_context import ReconcilerDependencies
from controller.runtimes.reconciler import Reconciler
from controller.runtimes.restart_context import EngineContact
from controller.runtimes.result import RuntimeQueue, work_queue
from controller.runtimes.scope import Scope
from tests.support.fake_backend import FakeBackend

NODE = "node-1"


class Restartable:
    """An embedded API with our kinds that can be restarted at the same address."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._port = 0

    async def start(self) -> None:
        self.server = ApiServer(self._state, "127.0.0.1", self._port, crds.manifests(), "edge")
        await self.server.start()
        self._port = int(self.server.url.rpartition(":")[2])

    async def restart(self) -> None:
        await self.server.stop()
        await self.start()


def endpoint_of(server: ApiServer, user: str = "controller") -> Endpoint:
    """Its endpoint with the credentials of a user."""
    found = server.credentials(user)
    return Endpoint(server.url, ca_file=found.ca, client_cert=found.certificate, client_key=found.key)


@dataclass
class OperatorHarness:
    """A controller without its cloud link, and the fakes around it."""

    endpoint: Endpoint
    api: ApiClient
    backend: FakeBackend
    queue: RuntimeQueue
    operator: OperatorThread

    async def create(self, name: str = "plc-1", *, finalizers: tuple[str, ...] = (), **spec: Any) -> dict[str, Any]:
        """Create a Runtime as with kubectl: no finalizer, no node."""
        metadata = {"name": name, "namespace": "edge", "finalizers": list(finalizers)}
        whole = {"deviceId": name, "image": "registry/plc", "version": "1"} | spec
        return await self.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": whole})

    async def until(self, name: str, condition: Any) -> dict[str, Any]:
        """The Runtime once ``condition(object)`` is true; {} if it does not exist."""
        async with asyncio.timeout(60):
            found = await self.get(name)
            while not condition(found):
                found = await self._next(name, found)
        return found

    async def _next(self, name: str, found: dict[str, Any]) -> dict[str, Any]:
        """The Runtime after its next change."""
        revision = found.get("metadata", {}).get("resourceVersion", "")
        stream = self.api.watch(kinds.RUNTIMES, "edge", resource_version=revision)
        async with aclosing(stream) as changes:
            async for event in changes:
                if event.type != "BOOKMARK" and event.object["metadata"]["name"] == name:
                    return {} if event.type == "DELETED" else event.object
        return await self.get(name)

    async def get(self, name: str) -> dict[str, Any]:
        listed = await self.api.list(kinds.RUNTIMES, "edge")
        return next((found for found in listed if found["metadata"]["name"] == name), {})

    async def ready(self, name: str = "plc-1") -> dict[str, Any]:
        return await self.until(name, is_ready)


def is_ready(found: dict[str, Any]) -> bool:
    """Whether the newest generation is ready."""
    status = found.get("status") or {}
    ready = any(c["type"] == names.READY and c["status"] == "True" for c in status.get("conditions", ()))
    return ready and status["observedGeneration"] == found["metadata"]["generation"]


@pytest.fixture
async def api_server(tmp_path: Path) -> AsyncIterator[Restartable]:
    made = Restartable(tmp_path)
    await made.start()
    yield made
    await made.server.stop()


@asynccontextmanager
async def operating(
    endpoint: Endpoint, node: str, *, claims: bool = True, field_selector: str = ""
) -> AsyncIterator[OperatorHarness]:
    """The operator, queue and reconciler of one controller on the API."""
    api = ApiClient(endpoint)
    backend = FakeBackend(clock=time.time)
    recorder = EventRecorder(api, node, time.time)
    dependencies = ReconcilerDependencies(api, backend, node, (), time.time, Boot(), EngineContact())
    reconciler = Reconciler(dependencies, "install", recorder, KeyIndex(), Scope("Docker", node, claims=claims))
    queue = work_queue(reconciler.reconcile)
    operator = OperatorThread(endpoint, queue.reconcile, reconciler.has_read, node=node, field_selector=field_selector)
    operator.start()
    posting = asyncio.create_task(recorder.controller.run())
    yield OperatorHarness(endpoint, api, backend, queue, operator)
    assert await operator.stop(5)
    await queue.stop(1)
    posting.cancel()
    await api.close()


@pytest.fixture
async def endpoint(api_server: Restartable) -> Endpoint:
    return await asyncio.to_thread(endpoint_of, api_server.server)


@pytest.fixture
async def admin(api_server: Restartable) -> AsyncIterator[ApiClient]:
    """A client with all rights."""
    client = ApiClient(await asyncio.to_thread(endpoint_of, api_server.server, "admin"))
    yield client
    await client.close()


@pytest.fixture
async def harness(endpoint: Endpoint) -> AsyncIterator[OperatorHarness]:
    async with operating(endpoint, NODE) as made:
        yield made
