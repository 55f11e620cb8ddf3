"""Prepares a server that outlives a test, and cleans it up before and after each test.

Only for the server of ``EDGE_TEST_KUBECONFIG``: all custom resources and other test objects on it are deleted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

NAMESPACE = "edge"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAMESPACES = "/api/v1/namespaces"
KEPT_NAMESPACES = {"default", "kube-system", "kube-public", "kube-node-lease", NAMESPACE}
KINDS = (
    *(f"/api/v1/namespaces/{NAMESPACE}/{plural}" for plural in ("configmaps", "secrets", "serviceaccounts", "events")),
    f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/api/v1/nodes",
)
KEPT_NAMES = {"default", "kube-root-ca.crt", "cluster-admin", "admin", "edit", "view"}
PATIENCE_SECONDS = 40.0


class SharedServer:
    """One server, accessed with an administrator's session."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    @asynccontextmanager
    async def prepared(self, definitions: list[dict[str, Any]]) -> AsyncIterator[None]:
        """Create the namespace and these definitions; remove everything else that tests created, before and after."""
        kept = {definition["metadata"]["name"] for definition in definitions}
        await self._empty(kept)
        await self._apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for definition in definitions:
            await self._apply(DEFINITIONS, definition)
        for definition in definitions:
            await self.until_served(definition["spec"])
        yield
        await self._empty(kept)

    async def _empty(self, kept: set[str]) -> None:
        definitions = await self._items(DEFINITIONS)
        for definition in definitions:
            group, names = definition["spec"]["group"], definition["spec"]["names"]
            version = next(each["name"] for each in definition["spec"]["versions"] if each["served"])
            for item in await self._items(f"/apis/{group}/{version}/{names['plural']}"):
                await self._remove(self._path(f"/apis/{group}/{version}", names["plural"], item["metadata"]), item)
        others = [each for each in definitions if each["metadata"]["name"] not in kept]
        await self._remove_all(DEFINITIONS, others)
        for path in KINDS:
            await self._remove_all(path, [each for each in await self._items(path) if not _kept(each["metadata"])])
        spare = [each for each in await self._items(NAMESPACES) if each["metadata"]["name"] not in KEPT_NAMESPACES]
        await self._remove_all(NAMESPACES, spare)
        await asyncio.gather(*(self._until_gone(f"{NAMESPACES}/{each['metadata']['name']}") for each in spare))
        await asyncio.gather(*(self._until_gone(f"{DEFINITIONS}/{each['metadata']['name']}") for each in others))

    @staticmethod
    def _path(base: str, plural: str, metadata: dict[str, Any]) -> str:
        place = f"{base}/namespaces/{metadata['namespace']}" if "namespace" in metadata else base
        return f"{place}/{plural}/{metadata['name']}"

    async def _remove_all(self, path: str, items: list[dict[str, Any]]) -> None:
        for item in items:
            await self._remove(f"{path}/{item['metadata']['name']}", item)

    async def _remove(self, path: str, item: dict[str, Any]) -> None:
        async with self._http.delete(self._url + path) as answer:
            assert answer.status in (200, 202, 404, 409), await answer.text()
        # The server itself removes the finalizer of a definition; all others are set by tests.
        if item["metadata"].get("finalizers") and not path.startswith(DEFINITIONS):
            patch, headers = {"metadata": {"finalizers": None}}, {"Content-Type": "application/merge-patch+json"}
            async with self._http.patch(self._url + path, json=patch, headers=headers) as answer:
                assert answer.status in (200, 404), await answer.text()

    async def _items(self, path: str) -> list[dict[str, Any]]:
        async with self._http.get(self._url + path) as answer:
            found: list[dict[str, Any]] = (await answer.json())["items"] if answer.status == 200 else []
            return found

    async def _apply(self, path: str, manifest: dict[str, Any]) -> None:
        async with self._http.patch(
            f"{self._url}{path}/{manifest['metadata']['name']}",
            data=json.dumps(manifest),
            params={"fieldManager": "suite", "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
        ) as answer:
            assert answer.status in (200, 201), await answer.text()

    async def until_served(self, spec: dict[str, Any]) -> None:
        """Wait until the objects of a definition can be listed."""
        await self._until(f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}", 200)

    async def _until_gone(self, path: str) -> None:
        await self._until(path, 404)

    async def _until(self, path: str, status: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                async with self._http.get(self._url + path) as answer:
                    if answer.status == status:
                        return
                await asyncio.sleep(0.02)


def _kept(metadata: dict[str, Any]) -> bool:
    return metadata["name"] in KEPT_NAMES or metadata["name"].startswith("system:")
