"""Sends malformed messages and bodies, many at once, and checks that each is answered as the contract says."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from controller import errors
from tests.soak import junk
from tests.soak.site import Site
from tests.support import kubeconfigs
from tests.support.edge_host import AGENT

AT_ONCE = 8
ANSWER_SECONDS = 30.0
STATUSES = {"error", "success", "not_found", "creating"}
TYPES = ("application/json", "application/yaml", "application/merge-patch+json", "application/json-patch+json")
GOOD = json.dumps(
    {
        "apiVersion": "getedge.me/v1alpha1",
        "kind": "Runtime",
        "metadata": {"name": "junk", "namespace": "edge", "labels": {"a": "b"}},
        "spec": {
            "deviceId": "junk",
            "image": "registry.example.com/plc",
            "version": "1",
            "interfaces": [{"name": "lan0", "parentInterface": "eth0", "mode": "Dhcp"}],
        },
    }
).encode()


async def messages(site: Site, count: int, chance: random.Random) -> None:
    """Send this many malformed messages of the cloud."""
    numbers = itertools.count()

    async def one() -> None:
        topic, payload = junk.message(chance, next(numbers))
        try:
            answer = await site.cloud.send(AGENT, topic, payload, timeout=ANSWER_SECONDS)
        except errors.LinkError as error:
            site.findings.fault(f"{topic} {payload!r:.300} ended the link or got no answer: {error}")
            await site.cloud.wait_agent(AGENT, timeout=60)
            return
        site.findings.count("malformed messages")
        if fault := answer_fault(topic, answer):
            site.findings.fault(f"{topic} {payload!r:.300} was answered {answer!r:.300}: {fault}")

    await _many(one, count)


async def bodies(site: Site, count: int, chance: random.Random) -> None:
    """Send this many malformed bodies to the API, all as dry runs."""
    async with _session(site) as session:

        async def one() -> None:
            method, path = chance.choice((("POST", ""), ("PUT", "/junk"), ("PATCH", "/junk")))
            content, kind = junk.body(chance, GOOD), chance.choice(TYPES)
            url = f"/apis/getedge.me/v1alpha1/namespaces/edge/runtimes{path}?dryRun=All"
            try:
                async with session.request(method, url, data=content, headers={"Content-Type": kind}) as response:
                    status, _ = response.status, await response.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                site.findings.fault(f"{method} {kind} {content[:300]!r} got no answer: {error!r}")
                return
            site.findings.count("malformed HTTP bodies")
            if status >= 500:
                site.findings.fault(f"{method} {kind} {content[:300]!r} was answered {status}")

        await _many(one, count)


async def _many(one: Callable[[], Awaitable[None]], count: int) -> None:
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            await one()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(worker())


def answer_fault(topic: str, answer: Any) -> str:
    """What of an answer contradicts the contract; "" if nothing does."""
    if not isinstance(answer, dict):
        return "not an object"
    if answer.get("action") != topic or "correlation_id" not in answer:
        return "without action or correlation_id"
    if answer.get("status", "success") not in STATUSES:
        return "with an unknown status"
    return "no error says why" if answer.get("status") == "error" and not answer.get("error") else ""


def _session(site: Site) -> aiohttp.ClientSession:
    """A client of the API with the administrator's kubeconfig."""
    endpoint = kubeconfigs.embedded(yaml.safe_load((site.edge.state / "kubeconfig").read_text()))
    context = ssl.create_default_context(cadata=endpoint.ca_data)
    if endpoint.client_data:
        with tempfile.TemporaryDirectory() as folder:
            pair = Path(folder, "client.pem")
            pair.write_text(endpoint.client_data)
            context.load_cert_chain(pair)
    headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
    return aiohttp.ClientSession(
        endpoint.url,
        headers=headers,
        connector=aiohttp.TCPConnector(ssl=context),
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
    )
