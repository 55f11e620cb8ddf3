"""One operator: kopf queues the keys of a scope, and workers reconcile them. The node and pods roles have one each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from functools import partial

from controller.api import kinds
from controller.backends.protocol import Backend
from controller.boottime import Boot
from controller.machinery.client import ApiClient
from controller.machinery.controller import Controller
from controller.machinery.endpoint import Endpoint
from controller.machinery.event_recorder import EventRecorder, Subject
from controller.manager.installation import Installation
from controller.metrics.prometheus import Metrics
from controller.runtimes.engine_contact import EngineContact
from controller.runtimes.event_sources import Resync
from controller.runtimes.keys import Key, KeyIndex
from controller.runtimes.operator.thread import OperatorThread
from controller.runtimes.reconciler import Reconciler
from controller.runtimes.reconciliation import ReconcilerDependencies
from controller.runtimes.result import Result, RuntimeQueue, work_queue
from controller.runtimes.scope import Scope

RESYNC_SECONDS = 300.0  # time without a heartbeat after which a loop counts as stuck
OPERATOR_SECONDS = 120.0
OPERATOR_CHECK_SECONDS = 10.0
QUEUE_GRACE_SECONDS = 1.5
FLUSH_GRACE_SECONDS = 0.5
OPERATOR_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class RuntimeOperator:
    """The queue, the index of Runtimes, the resync, and the recorder of Events."""

    queue: RuntimeQueue
    index: KeyIndex
    resync: Resync
    recorder: EventRecorder


def start(
    installation: Installation,
    api: ApiClient,
    backend: Backend,
    scope: Scope,
    metrics: Metrics,
    *,
    engine: EngineContact,
    boot: Boot,
) -> RuntimeOperator:
    """Start the work queue and the resync; kopf and the other event sources are started separately."""
    recorder = EventRecorder(api, installation.node_name, time.time)
    index = KeyIndex()
    dependencies = ReconcilerDependencies(
        api=api,
        backend=backend,
        node=scope.node,
        image_prefixes=installation.settings.image_prefixes,
        clock=time.time,
        boot=boot,
        engine=engine,
    )
    reconciler = Reconciler(dependencies, installation.install_id, recorder, index, scope)
    queue = work_queue(partial(_reconcile, reconciler, metrics))
    installation.stack.push_async_callback(_flush, recorder)
    installation.stack.push_async_callback(queue.stop, QUEUE_GRACE_SECONDS)
    installation.supervisor.start(f"the events of {scope.backend} runtimes", recorder.run)
    return RuntimeOperator(queue, index, _start_resync(installation, dependencies, queue, recorder, scope), recorder)


def _start_resync(
    installation: Installation,
    dependencies: ReconcilerDependencies,
    queue: RuntimeQueue,
    recorder: EventRecorder,
    scope: Scope,
) -> Resync:
    name = f"the resync of {scope.backend} runtimes"
    installation.stack.callback(installation.liveness.forget, name)
    resync = Resync(
        dependencies.api,
        dependencies.backend,
        queue,
        recorder,
        installation.liveness.expect(name, RESYNC_SECONDS),
        install_id=installation.install_id,
        scope=scope,
        subject=Subject(kinds.EDGE_NODES, installation.node_name),
    )
    installation.supervisor.start(name, resync.controller.run)
    return resync


def start_kopf(installation: Installation, endpoint: Endpoint, queue: RuntimeQueue, scope: Scope) -> OperatorThread:
    """Run kopf in its thread and watch that its loop responds."""
    operator = OperatorThread(endpoint, queue.reconcile, node=installation.node_name, field_selector=scope.selector)
    operator.start()
    installation.stack.push_async_callback(operator.stop, OPERATOR_GRACE_SECONDS)
    name = f"the operator of {scope.backend} runtimes"
    installation.stack.callback(installation.liveness.forget, name)
    beat = installation.liveness.expect(name, OPERATOR_SECONDS)

    async def check() -> None:
        if await operator.responds(OPERATOR_CHECK_SECONDS):
            beat()

    controller = Controller(f"check {name}", check, period=OPERATOR_CHECK_SECONDS)
    installation.supervisor.start(f"the liveness check of {name}", controller.run)
    return operator


async def _reconcile(reconciler: Reconciler, metrics: Metrics, key: Key, interrupted: asyncio.Event) -> Result:
    """Run a pass and record its duration and outcome."""
    began, outcome = time.monotonic(), "error"
    try:
        result = await reconciler.reconcile(key, interrupted)
        outcome = result.outcome.kind
        return result
    finally:
        metrics.observe_reconcile(outcome, time.monotonic() - began)


async def _flush(recorder: EventRecorder) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(recorder.flush(), FLUSH_GRACE_SECONDS)
