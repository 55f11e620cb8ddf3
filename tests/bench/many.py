"""Section ``many``: the cost of the controller itself, with many Runtimes on an in-memory backend.

``python -m tests.bench.many FOLDER COUNT`` is the measured process: embedded API, kopf, queue and reconciler in one
process, as on a standalone host. The Runtimes are in its database before the clock starts.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from controller import heap, lean_imports, names, tls_buffers
from controller.api import crds, kinds
from controller.apiserver.server import ApiServer
from controller.boottime import Boot
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from controller.machinery.event_recorder import EventRecorder, Subject
from controller.runtimes.event_sources import RESYNC_SECONDS, Resync
from controller.runtimes.keys import Key, KeyIndex
from controller.runtimes.operator.thread import OperatorThread
from controller.runtimes.reconcile_context import ReconcilerDependencies
from controller.runtimes.reconciler import Reconciler
from controller.runtimes.restart_context import EngineContact
from controller.runtimes.result import Result, RuntimeQueue, work_queue
from controller.runtimes.scope import Scope
from tests.bench import process, rows
from tests.bench.rows import Figure, Goal, Row
from tests.bench.section import Run
from tests.support.fake_backend import FakeBackend

NODE, NAMESPACE, INSTALL = "bench", "edge", "install"
POLL_SECONDS = 0.5
SETTLE_SECONDS = 10.0  # until kopf's last annotations and the events are written


class Observed(NamedTuple):
    """``resync_percent`` is of one core, averaged over the time between two resyncs."""

    observed_seconds: float
    resync_percent: float
    resident_bytes: float


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section, from a process with many Runtimes and one without any."""
    count = run.counts.objects
    none, many = await _measured(0), await _measured(count)
    what, each = f"{count:,} Runtimes", (many.resident_bytes - none.resident_bytes) / count
    observed, resync = Figure(many.observed_seconds), Figure(many.resync_percent)
    without = f"{rows.MEGABYTES.show(none.resident_bytes)} without any"
    yield Row(f"{what}: start to all observed", rows.SECONDS, observed, goal=Goal(10.0))
    yield Row(f"{what}: a resync that changes nothing", rows.CORE, resync, goal=Goal(1.0))
    yield Row(f"{what}: memory of each", rows.KILOBYTES, Figure(each), goal=Goal(20e3), note=without)


async def _measured(count: int) -> Observed:
    with tempfile.TemporaryDirectory(prefix="edge-many-") as folder:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, folder, str(count), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await child.communicate()
        assert child.returncode == 0, "the measured process failed"
        return Observed(**json.loads(output))


class _Settled:
    """Counts the settled Runtimes."""

    def __init__(self, reconciler: Reconciler, count: int) -> None:
        self._reconciler = reconciler
        self._count = count
        self._keys: set[Key] = set()
        self.all = asyncio.Event()
        if not count:
            self.all.set()

    async def reconcile(self, key: Key, interrupted: asyncio.Event) -> Result:
        """Reconcile a Runtime."""
        result = await self._reconciler.reconcile(key, interrupted)
        if result.settled:
            self._keys.add(key)
        if len(self._keys) == self._count:
            self.all.set()
        return result


async def _serve(folder: Path, count: int) -> Observed:
    server = ApiServer(folder, "127.0.0.1", 0, crds.manifests(), NAMESPACE)
    await server.start()
    # As on a standalone host (manager/embedded_api.py).
    endpoint = Endpoint(server.url, socket=server.socket, direct=server.own_process)
    api = ApiClient(endpoint)
    for number in range(count):
        await api.create(kinds.RUNTIMES, _runtime(number))
    lean_imports.finish()
    began = time.perf_counter()
    backend: Any = FakeBackend(clock=time.time)
    recorder = EventRecorder(api, NODE, time.time)
    dependencies = ReconcilerDependencies(api, backend, NODE, (), time.time, Boot(), EngineContact())
    scope, subject = Scope("Docker", NODE, claims=True), Subject(kinds.EDGE_NODES, NODE)
    reconciler = Reconciler(dependencies, INSTALL, recorder, KeyIndex(), scope)
    settled = _Settled(reconciler, count)
    queue = work_queue(settled.reconcile)
    resync = Resync(
        api,
        backend,
        queue,
        partial(recorder.record, subject),
        lambda: None,
        is_settled=reconciler.is_settled,
        install_id=INSTALL,
        scope=scope,
    )
    operator = OperatorThread(endpoint, queue.reconcile, reconciler.has_read, node=NODE)
    operator.start()
    posting = asyncio.create_task(recorder.controller.run())
    await resync.resync()
    await settled.all.wait()
    observed = time.perf_counter() - began
    await asyncio.sleep(SETTLE_SECONDS)
    figures = Observed(observed, await _resync_percent(resync, queue), process.resident_bytes(os.getpid()))
    await operator.stop(5)
    await queue.stop(1)
    posting.cancel()
    await api.close()
    await server.stop()
    return figures


async def _resync_percent(resync: Resync, queue: RuntimeQueue) -> float:
    """The CPU of one resync, from its list to its last reconciliation, minus the idle CPU."""
    idle = await _cpu_during(asyncio.sleep(POLL_SECONDS)) / POLL_SECONDS
    began, before = time.perf_counter(), _cpu()
    await resync.resync()
    while queue.depth:  # noqa: ASYNC110 - the queue does not signal that it is empty
        await asyncio.sleep(0.05)
    return max(0.0, _cpu() - before - idle * (time.perf_counter() - began)) / RESYNC_SECONDS * 100


async def _cpu_during(work: Any) -> float:
    before = _cpu()
    await work
    return _cpu() - before


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _runtime(number: int) -> dict[str, Any]:
    interface = {
        "name": "lan0",
        "parentInterface": "eth0",
        "mode": "Static",
        "address": f"10.1.{number // 250}.{number % 250 + 1}",
        "subnet": "10.1.0.0/16",
    }
    metadata = {"name": f"plc-{number}", "namespace": NAMESPACE, "finalizers": [names.FINALIZER]}
    spec = {"deviceId": f"plc-{number}", "image": "registry/plc", "version": "1", "interfaces": [interface]}
    return {"metadata": metadata, "spec": {**spec, "nodeName": NODE, "backend": "Docker"}}


if __name__ == "__main__":
    # As the service does (cli/run.py).
    tls_buffers.shrink()
    heap.share()
    lean_imports.prepare(["node"])
    print(json.dumps(asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))._asdict()))
