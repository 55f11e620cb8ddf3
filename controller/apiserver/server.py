"""The embedded Kubernetes API: an aiohttp server with TLS on one store.

Composition and life cycle; requests are answered in requests.py.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from controller import errors
from controller.apiserver import expiry
from controller.apiserver.pki import Credentials, Pki
from controller.apiserver.requests import Requests
from controller.apiserver.resources import Registry, Resource
from controller.apiserver.store import Key, Store
from controller.apiserver.users import Users
from controller.apiserver.verbs import DEFINITIONS, NAMESPACES, Verbs

Object = dict[str, Any]
logger = logging.getLogger(__name__)

MAX_BODY = 3 << 20


class ApiServer:
    """One server. Port 0 takes a free one; ``crds`` are applied at every start."""

    def __init__(self, state_dir: Path, host: str, port: int, crds: Sequence[Object], default_namespace: str) -> None:
        self._directory = state_dir / "api"
        self._host = host
        self._port = port
        self._crds = crds
        self._namespace = default_namespace
        self._registry = Registry()
        self._runner: web.AppRunner | None = None
        self._expiry: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it answers, once started."""
        return f"https://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises errors.SettingError."""
        now = datetime.datetime.now(datetime.UTC)
        self._pki = await asyncio.to_thread(Pki, self._directory / "pki", self._host, now)
        context = await asyncio.to_thread(self._pki.server_context)
        tokens = await asyncio.to_thread(self._pki.tokens)
        self.store = Store(self._directory / "objects.db")
        await self.store.open()
        self.verbs = Verbs(self.store, self._registry)
        await self._seed()
        requests = Requests(self.verbs, self._registry, self.store, Users(tokens))
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", requests.answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, ssl_context=context).start()
        except OSError as error:
            await self.stop()
            raise errors.SettingError(
                f"EDGE_API_LISTEN {self._host}:{self._port} cannot be used: {error.strerror}; give another address"
            ) from error
        self._port = self._runner.addresses[0][1]
        self._expiry = asyncio.create_task(expiry.run(self.store, self.verbs))

    async def stop(self) -> None:
        """Stop listening and close the store."""
        if self._expiry is not None:
            self._expiry.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._expiry
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self.store.close()

    def credentials(self, user: str) -> Credentials:
        """What a client of that user needs."""
        return self._pki.credentials(user)

    def kubeconfig(self, user: str = "admin") -> Object:
        """A kubeconfig whose default namespace is ours."""
        found = self.credentials(user)
        cluster = {"server": self.url, "certificate-authority-data": _encoded(found.ca)}
        identity = {"client-certificate-data": _encoded(found.certificate), "client-key-data": _encoded(found.key)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "edge", "cluster": cluster}],
            "users": [{"name": user, "user": identity}],
            "contexts": [{"name": "edge", "context": {"cluster": "edge", "user": user, "namespace": self._namespace}}],
            "current-context": "edge",
        }

    def write_kubeconfig(self, path: Path) -> None:
        """Write it with mode 0600, whole or not at all."""
        temporary = path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            yaml.safe_dump(self.kubeconfig(), file, sort_keys=False)
        temporary.replace(path)

    async def _seed(self) -> None:
        self.verbs.refresh_definitions()
        for name in ("default", "kube-system", self._namespace):
            if self.store.get(Key(NAMESPACES.key, "", name)) is None:
                await self.verbs.create(NAMESPACES, "", {"metadata": {"name": name}}, dry=False)
        for definition in self._crds:
            await self._apply(DEFINITIONS, definition)

    async def _apply(self, resource: Resource, wanted: Object) -> None:
        name = wanted["metadata"]["name"]
        if self.store.get(Key(resource.key, "", name)) is None:
            await self.verbs.create(resource, "", wanted, dry=False)
            return
        await self.verbs.update(resource, "", name, lambda current: {**current, "spec": wanted["spec"]}, "", dry=False)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
