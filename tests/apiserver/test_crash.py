"""Repeated kill -9 at random moments under load: no acknowledged write is lost, and watches have no gaps."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.apiserver.access.pki import Pki
from tests.support.api_process import ApiProcess
from tests.support.ports import free_port

KILLS = 200
LIFE_SECONDS = (0.002, 0.12)  # from start to kill, under load
WRITERS = 3
PATH = "/api/v1/namespaces/edge/configmaps"


class Writer:
    """Creates objects and increments a counter object; records acknowledged and attempted writes."""

    def __init__(self, name: str) -> None:
        self.counter = f"{name}-counter"
        self.created: set[str] = set()
        self.deleted: set[str] = set()
        self.deleting: set[str] = set()  # deletion was sent
        self.revisions: list[int] = []
        self.counts: list[int] = []  # acknowledged
        self.attempts = 0
        self._name = name
        self._next = 0

    async def work(self, http: aiohttp.ClientSession, url: str) -> None:
        """Write until the server is killed."""
        while True:
            name = f"{self._name}-{self._next}"
            self._next += 1
            # The result of an interrupted write is unknown, so never reuse its name.
            await self._send(http, "POST", url + PATH, {"metadata": {"name": name}})
            self.created.add(name)
            await self.count_up(http, url)
            if self._next % 3 == 0:
                self.deleting.add(name)
                await self._send(http, "DELETE", f"{url}{PATH}/{name}", None)
                self.deleted.add(name)

    async def count_up(self, http: aiohttp.ClientSession, url: str) -> None:
        """Increment the counter."""
        self.attempts += 1
        body = {"metadata": {"name": self.counter}, "data": {"count": str(self.attempts)}}
        patch = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", **body}).encode()
        headers = {"Content-Type": "application/apply-patch+yaml"}
        place = f"{url}{PATH}/{self.counter}?fieldManager=writer&force=true"
        async with http.patch(place, data=patch, headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()
            done = await answer.json()
        self.revisions.append(int(done["metadata"]["resourceVersion"]))
        self.counts.append(self.attempts)

    async def _send(self, http: aiohttp.ClientSession, method: str, url: str, body: object) -> None:
        async with http.request(method, url, json=body) as answer:
            assert answer.status in (200, 201), await answer.text()
            done = await answer.json()
        if "resourceVersion" in done["metadata"]:
            self.revisions.append(int(done["metadata"]["resourceVersion"]))


class Watcher:
    """Watches all changes across restarts of the server."""

    def __init__(self, since: str) -> None:
        self.since = since
        self.revisions: list[int] = []
        self.objects: dict[str, dict[str, Any]] = {}
        self.counts: dict[str, list[int]] = {}

    async def work(self, http: aiohttp.ClientSession, url: str) -> None:
        """Watch until the server is killed."""
        query = {"watch": "1", "resourceVersion": self.since, "timeoutSeconds": "60"}
        async with http.get(url + PATH, params=query) as answer:
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                if line.endswith(b"\n"):  # a line truncated by the kill is sent again after the restart
                    self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        item = event["object"]
        assert isinstance(item, dict)
        assert event["type"] != "ERROR", item
        metadata = item["metadata"]
        self.since = metadata["resourceVersion"]
        self.revisions.append(int(self.since))
        if event["type"] == "DELETED":
            del self.objects[metadata["name"]]
            return
        assert (event["type"] == "ADDED") == (metadata["name"] not in self.objects)
        self.objects[metadata["name"]] = item
        if "count" in item.get("data", {}):  # other ConfigMaps hold the API's CA
            self.counts.setdefault(metadata["name"], []).append(int(item["data"]["count"]))


@contextlib.asynccontextmanager
async def session(directory: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP session as admin; the certificates survive restarts."""
    admin = await asyncio.to_thread(lambda: Pki(directory / "api" / "pki", tuple).credentials("admin"))
    context = ssl.create_default_context(cafile=str(admin.ca))
    context.load_cert_chain(admin.certificate, admin.key)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http:
        yield http


async def current(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """List all objects."""
    async with http.get(url + PATH) as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def live(server: ApiProcess, work: list[asyncio.Task[None]], seconds: float) -> None:
    """Let the tasks use the server for a while, then kill it."""
    await asyncio.sleep(seconds)  # the kill must come at a random moment
    await asyncio.to_thread(server.kill)
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        assert outcome is None or isinstance(outcome, (aiohttp.ClientError, ConnectionError)), repr(outcome)


@pytest.mark.timeout(300)
async def test_two_hundred_kills_lose_no_acknowledged_write(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    port = free_port()
    url, server = f"https://127.0.0.1:{port}", ApiProcess(tmp_path, port)
    await asyncio.to_thread(server.start)
    writers = [Writer(f"w{number}") for number in range(WRITERS)]
    async with session(tmp_path) as http:
        initial = await current(http, url)
        watcher = Watcher(initial["metadata"]["resourceVersion"])
        watcher.objects = {item["metadata"]["name"]: item for item in initial["items"]}
        for writer in writers:  # on a busy machine a kill may come before anything is acknowledged
            await writer.count_up(http, url)
        workers: list[Writer | Watcher] = [*writers, watcher]
        for _ in range(KILLS):
            work = [asyncio.create_task(one.work(http, url)) for one in workers]
            await live(server, work, rng.uniform(*LIFE_SECONDS))
            await asyncio.to_thread(server.start)
        found = await current(http, url)
        deadline = time.monotonic() + 30
        watching = asyncio.create_task(watcher.work(http, url))
        items = {item["metadata"]["name"]: item for item in found["items"]}
        while watcher.objects != items:  # cannot wait for a revision: the last write may have been a deletion
            assert time.monotonic() < deadline, "the watch did not catch up"
            await asyncio.sleep(0.01)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    await asyncio.to_thread(server.kill)
    check_nothing_lost(writers, watcher, items)


def check_nothing_lost(writers: list[Writer], watcher: Watcher, items: dict[str, dict[str, Any]]) -> None:
    """All acknowledged writes exist once; revisions only grow; the watch saw each change once."""
    for writer in writers:
        assert writer.created - writer.deleting <= items.keys()
        assert not writer.deleted & items.keys()
        assert writer.revisions == sorted(set(writer.revisions))
        counted = int(items[writer.counter]["data"]["count"])
        assert writer.counts[-1] <= counted <= writer.attempts
        seen = watcher.counts[writer.counter]
        assert seen == sorted(set(seen))
        assert set(writer.counts) <= set(seen)
    assert watcher.revisions == sorted(set(watcher.revisions))
    assert watcher.objects == items
