"""One embedded Kubernetes API for many tests, in its own thread and event loop, emptied after each test."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from controller import errors
from controller.api import crds, kinds
from controller.apiserver.server import ApiServer
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint

NAMESPACE = "edge"


class EmbeddedApi:
    """The product's API server with our CRDs, over TLS on loopback."""

    def __init__(self, directory: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedded API", daemon=True)
        self._thread.start()
        self._server = ApiServer(directory, "127.0.0.1", 0, crds.manifests(), NAMESPACE)
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(30)
        self._credentials = {user: self._server.credentials(user) for user in ("admin", "controller")}

    @property
    def own_endpoint(self) -> Endpoint:
        """The endpoint for the process that serves the API."""
        return Endpoint(self._server.url, socket=self._server.socket)

    def client(self, user_agent: str = "edge-controller", user: str = "controller") -> ApiClient:
        """Return a client for the current loop; the API uses the user agent as field manager."""
        ours = self._credentials[user]
        endpoint = Endpoint(self._server.url, ca_file=ours.ca, client_cert=ours.certificate, client_key=ours.key)
        return ApiClient(endpoint, user_agent)

    async def clear(self) -> None:
        """Remove what a test left behind."""
        client = self.client()
        try:
            for runtime in await client.list(kinds.RUNTIMES):
                await _remove(client, runtime["metadata"]["name"], runtime["metadata"]["namespace"])
            for command in await client.list(kinds.RUNTIME_COMMANDS):
                await client.delete(kinds.RUNTIME_COMMANDS, command["metadata"]["name"], NAMESPACE)
        finally:
            await client.close()

    def stop(self) -> None:
        """Stop server, loop and thread."""
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(30)
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _remove(client: ApiClient, name: str, namespace: str) -> None:
    try:
        await client.delete(kinds.RUNTIMES, name, namespace)
        await client.patch(kinds.RUNTIMES, name, namespace, {"metadata": {"finalizers": None}})
    except errors.NotFoundError:
        return


async def _cancel_others() -> None:
    """Cancel tasks that still wait for a disconnected client; otherwise they warn when the loop is destroyed."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
