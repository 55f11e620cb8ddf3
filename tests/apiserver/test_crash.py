"""Kill -9 at random moments under load, again and again: what was acknowledged stays, and watches have no gap."""

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
LIFE_SECONDS = (0.002, 0.12)  # how long a server lives under load
WRITERS = 3
PATH = "/api/v1/namespaces/edge/configmaps"


class Writer:
    """Creates objects and counts up one of its own; knows what was acknowledged, and what may have happened."""

    def __init__(self, name: str) -> None:
        self.counter = f"{name}-counter"
        self.created: set[str] = set()
        self.deleted: set[str] = set()
        self.ending: set[str] = set()  # their deletion was sent
        self.revisions: list[int] = []
        self.counts: list[int] = []  # acknowledged
        self.tried = 0
        self._name = name
        self._next = 0

    async def work(self, http: aiohttp.ClientSession, url: str) -> None:
        """Write until the server is gone."""
        while True:
            name = f"{self._name}-{self._next}"
            self._next += 1
            # Whether an interrupted write happened is unknown: another name next time.
            await self._send(http, "POST", url + PATH, {"metadata": {"name": name}})
            self.created.add(name)
            await self.count_up(http, url)
            if self._next % 3 == 0:
                self.ending.add(name)
                await self._send(http, "DELETE", f"{url}{PATH}/{name}", None)
                self.deleted.add(name)

    async def count_up(self, http: aiohttp.ClientSession, url: str) -> None:
        """Write the next number."""
        self.tried += 1
        body = {"metadata": {"name": self.counter}, "data": {"count": str(self.tried)}}
        patch = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", **body}).encode()
        headers = {"Content-Type": "application/apply-patch+yaml"}
        place = f"{url}{PATH}/{self.counter}?fieldManager=writer&force=true"
        async with http.patch(place, data=patch, headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()
            done = await answer.json()
        self.revisions.append(int(done["metadata"]["resourceVersion"]))
        self.counts.append(self.tried)

    async def _send(self, http: aiohttp.ClientSession, method: str, url: str, body: object) -> None:
        async with http.request(method, url, json=body) as answer:
            assert answer.status in (200, 201), await answer.text()
            done = await answer.json()
        if "resourceVersion" in done["metadata"]:
            self.revisions.append(int(done["metadata"]["resourceVersion"]))


class Watcher:
    """Sees every change, from one life of the server to the next."""

    def __init__(self, since: str) -> None:
        self.since = since
        self.revisions: list[int] = []
        self.there: dict[str, dict[str, Any]] = {}
        self.counts: dict[str, list[int]] = {}

    async def work(self, http: aiohttp.ClientSession, url: str) -> None:
        """Follow until the server is gone."""
        query = {"watch": "1", "resourceVersion": self.since, "timeoutSeconds": "60"}
        async with http.get(url + PATH, params=query) as answer:
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                if line.endswith(b"\n"):  # a line that the kill cut off is sent again in the next life
                    self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        item = event["object"]
        assert isinstance(item, dict)
        assert event["type"] != "ERROR", item
        metadata = item["metadata"]
        self.since = metadata["resourceVersion"]
        self.revisions.append(int(self.since))
        if event["type"] == "DELETED":
            del self.there[metadata["name"]]
            return
        assert (event["type"] == "ADDED") == (metadata["name"] not in self.there)
        self.there[metadata["name"]] = item
        if "count" in item.get("data", {}):  # the certificates of the API are kept beside them
            self.counts.setdefault(metadata["name"], []).append(int(item["data"]["count"]))


@contextlib.asynccontextmanager
async def session(directory: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP session as admin; the certificates outlive the servers."""
    admin = await asyncio.to_thread(lambda: Pki(directory / "api" / "pki", tuple).credentials("admin"))
    context = ssl.create_default_context(cafile=str(admin.ca))
    context.load_cert_chain(admin.certificate, admin.key)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http:
        yield http


async def current(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """The whole list."""
    async with http.get(url + PATH) as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def live(server: ApiProcess, work: list[asyncio.Task[None]], seconds: float) -> None:
    """Let the tasks work on a running server, then kill it under them."""
    await asyncio.sleep(seconds)  # the random moment is what is tested
    await asyncio.to_thread(server.kill)
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        assert outcome is None or isinstance(outcome, (aiohttp.ClientError, ConnectionError)), repr(outcome)


@pytest.mark.timeout(300)
async def test_two_hundred_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    port = free_port()
    url, server = f"https://127.0.0.1:{port}", ApiProcess(tmp_path, port)
    await asyncio.to_thread(server.start)
    writers = [Writer(f"w{number}") for number in range(WRITERS)]
    async with session(tmp_path) as http:
        begun = await current(http, url)
        watcher = Watcher(begun["metadata"]["resourceVersion"])
        watcher.there = {item["metadata"]["name"]: item for item in begun["items"]}
        for writer in writers:  # on a busy machine a life may end before anything is acknowledged
            await writer.count_up(http, url)
        workers: list[Writer | Watcher] = [*writers, watcher]
        for _ in range(KILLS):
            work = [asyncio.create_task(one.work(http, url)) for one in workers]
            await live(server, work, chance.uniform(*LIFE_SECONDS))
            await asyncio.to_thread(server.start)
        found = await current(http, url)
        deadline = time.monotonic() + 30
        following = asyncio.create_task(watcher.work(http, url))
        items = {item["metadata"]["name"]: item for item in found["items"]}
        while watcher.there != items:  # the last write of all may have been a deletion, which no item tells of
            assert time.monotonic() < deadline, "the watch does not catch up"
            await asyncio.sleep(0.01)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    await asyncio.to_thread(server.kill)
    judge(writers, watcher, items)


def judge(writers: list[Writer], watcher: Watcher, items: dict[str, dict[str, Any]]) -> None:
    """What was acknowledged is there, once; revisions only grow; the watch saw everything, once."""
    for writer in writers:
        assert writer.created - writer.ending <= items.keys()
        assert not writer.deleted & items.keys()
        assert writer.revisions == sorted(set(writer.revisions))
        counted = int(items[writer.counter]["data"]["count"])
        assert writer.counts[-1] <= counted <= writer.tried
        seen = watcher.counts[writer.counter]
        assert seen == sorted(set(seen))
        assert set(writer.counts) <= set(seen)
    assert watcher.revisions == sorted(set(watcher.revisions))
    assert watcher.there == items
