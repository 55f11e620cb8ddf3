"""Section ``api``: the embedded API beside a real kube-apiserver and etcd on the same disk."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import ssl
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yaml

from controller.api import crds
from tests.bench import process, rows
from tests.bench.rows import Figure, Goal, Reference, Row
from tests.bench.section import Run
from tests.cluster import programs
from tests.cluster.control_plane import ControlPlane
from tests.cluster.embedded import Embedded

Object = dict[str, Any]
Operation = Callable[["Client", int], Awaitable[float]]

OBJECTS = 500
RUNTIMES = "/apis/getedge.me/v1alpha1/namespaces/edge/runtimes"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Measured(NamedTuple):
    """Seconds of each round, by operation; resident memory in bytes."""

    seconds: dict[str, list[float]]
    resident_bytes: float
    start_seconds: float


class Client:
    """An HTTP session with the server of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        found = yaml.safe_load(kubeconfig.read_text())
        cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        self.url = cluster["server"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile(suffix=".pem") as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            context.load_cert_chain(pair.name)
        self._http, self._watching = (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) for _ in range(2)
        )

    async def send(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Object:
        """Send a request; return the response, or raise for an error status."""
        data = None if body is None else json.dumps(body)
        async with self._http.request(method, self.url + path, data=data, headers={"Content-Type": kind}) as answer:
            text = await answer.read()
            assert answer.status < 400, text
            found: Object = json.loads(text)
            return found

    def watch(self, path: str, since: str) -> Any:
        """A watch as a context manager, on a separate connection, so that a concurrent write need not wait for TLS."""
        return self._watching.get(self.url + path, params={"watch": "1", "resourceVersion": since})

    async def close(self) -> None:
        """Close the session."""
        await self._http.close()
        await self._watching.close()


async def get(client: Client, _: int) -> float:
    """Get one object."""
    return await _timed(client.send("GET", f"{RUNTIMES}/r-0"))


async def list_all(client: Client, _: int) -> float:
    """List 500 objects."""
    return await _timed(client.send("GET", RUNTIMES))


async def create(client: Client, number: int) -> float:
    """Create an object."""
    seconds = await _timed(client.send("POST", RUNTIMES, runtime(f"new-{number}")))
    await client.send("DELETE", f"{RUNTIMES}/new-{number}")
    return seconds


async def patch_status(client: Client, number: int) -> float:
    """Merge-patch the status subresource."""
    return await _timed(_patch(client, number))


async def deliver(client: Client, number: int) -> float:
    """Measure from sending a write to its event at a watcher."""
    listed = await client.send("GET", f"{RUNTIMES}?limit=1")
    async with client.watch(RUNTIMES, listed["metadata"]["resourceVersion"]) as answer:
        began = time.perf_counter()
        writing = asyncio.create_task(_patch(client, -number - 1))
        await answer.content.readline()
        seconds = time.perf_counter() - began
        await writing
    return seconds


OPERATIONS: dict[str, Operation] = {
    "get": get,
    f"list of {OBJECTS}": list_all,
    "create": create,
    "status patch": patch_status,
    "watch delivery": deliver,
}


def runtime(name: str) -> Object:
    """A Runtime that is not reconciled."""
    spec = {"deviceId": name, "image": "registry.test/plc", "version": "1", "env": [{"name": "LINE", "value": "7"}]}
    return {"apiVersion": "getedge.me/v1alpha1", "kind": "Runtime", "metadata": {"name": name}, "spec": spec}


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = await _compare(Path(folder), 2 * run.counts.commands)
    except programs.Unavailable as error:
        yield rows.unmeasured("the embedded API beside kube-apiserver", error)
        return
    for name, seconds in ours.seconds.items():
        for part in (50, 99):
            own, other = (rows.percentile(samples, part) for samples in (seconds, theirs.seconds[name]))
            yield _row(f"API: {name}, p{part}", rows.MILLISECONDS, own, other, Goal(other.value))
    memory = Goal(theirs.resident_bytes / 4, "a quarter")
    yield _row("API: memory", rows.MEGABYTES, Figure(ours.resident_bytes), Figure(theirs.resident_bytes), memory)
    started = Figure(ours.start_seconds), Figure(theirs.start_seconds)
    yield _row("API: start to first answer", rows.SECONDS, *started, Goal(0.5))


def _row(what: str, unit: rows.Unit, ours: Figure, theirs: Figure, goal: Goal) -> Row:
    return Row(what, unit, ours, Reference("kube-apiserver", theirs), goal)


async def _compare(folder: Path, rounds: int) -> tuple[Measured, Measured]:
    """Measure both in turn, so that both see the same noise."""
    binaries = programs.build("etcd", "kube-apiserver", "kube-controller-manager")
    began = time.perf_counter()
    with Embedded(folder / "ours") as ours:
        ours_started = time.perf_counter() - began
        began = time.perf_counter()
        with ControlPlane(binaries, folder / "theirs", durable=True) as theirs:
            theirs_started = time.perf_counter() - began
            clients = Client(ours.kubeconfig), Client(theirs.kubeconfig)
            for client in clients:
                await _fill(client)
            seconds = await _measure(clients, rounds)
            for client in clients:
                await client.close()
            pids = theirs.process_ids()
            api = [pids["etcd"], pids["kube-apiserver"]]
            return (
                Measured(seconds[0], _resident([ours.process_id]), ours_started),
                Measured(seconds[1], _resident(api), theirs_started),
            )


async def _measure(clients: tuple[Client, Client], rounds: int) -> list[dict[str, list[float]]]:
    found: list[dict[str, list[float]]] = [{name: [] for name in OPERATIONS} for _ in clients]
    gc.freeze()
    for number in range(rounds):
        for name, operation in OPERATIONS.items():
            for client, figures in zip(clients, found, strict=True):
                figures[name].append(await _without_collection(operation(client, number)))
    gc.unfreeze()
    return found


async def _without_collection(work: Awaitable[float]) -> float:
    """Collect this client's garbage before the operation, not during it, where it took up to 80 ms."""
    gc.collect()
    gc.disable()
    try:
        return await work
    finally:
        gc.enable()


async def _fill(client: Client) -> None:
    served = {item["metadata"]["name"] for item in (await client.send("GET", DEFINITIONS))["items"]}
    for definition in crds.manifests():
        if definition["metadata"]["name"] not in served:
            await client.send("POST", DEFINITIONS, definition)
    namespaces = {item["metadata"]["name"] for item in (await client.send("GET", "/api/v1/namespaces"))["items"]}
    if "edge" not in namespaces:
        await client.send("POST", "/api/v1/namespaces", {"metadata": {"name": "edge"}})
    await _until_served(client)
    for number in range(OBJECTS):
        await client.send("POST", RUNTIMES, runtime(f"r-{number}"))


async def _until_served(client: Client) -> None:
    """A real server needs a moment before it serves a new definition."""
    for _ in range(200):
        try:
            await client.send("GET", RUNTIMES)
        except AssertionError:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("the definitions are not served")


async def _patch(client: Client, number: int) -> Object:
    body = {"status": {"restartCount": abs(number) + (1 if number < 0 else 100_000)}}
    return await client.send("PATCH", f"{RUNTIMES}/r-0/status", body, "application/merge-patch+json")


async def _timed(work: Awaitable[Any]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


def _resident(process_ids: Iterable[int]) -> float:
    return sum(process.resident_bytes(process_id) for process_id in process_ids)
