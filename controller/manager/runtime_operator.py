"""One operator: kopf brings the keys of a scope, a queue has them reconciled on a backend. A node has one, and pods."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from controller.api import kinds
from controller.backends.protocol import Backend
from controller.boottime import Boot
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from controller.machinery.event_recorder import EventRecorder, Subject
from controller.manager.installation import Installation
from controller.metrics import instrumentation
from controller.metrics.prometheus import Metrics
from controller.runtimes.event_sources import Resync
from controller.runtimes.keys import KeyIndex
from controller.runtimes.operator.thread import OperatorThread
from controller.runtimes.queue import Queue
from controller.runtimes.reconciler import Reconciler
from controller.runtimes.reconciliation import ReconcilerDependencies
from controller.runtimes.restart_context import EngineContact
from controller.runtimes.scope import Scope

RESYNC_SECONDS = 300.0  # how long each loop may be silent before it counts as stuck
OPERATOR_SECONDS = 120.0
OPERATOR_CHECK_SECONDS = 10.0
QUEUE_GRACE_SECONDS = 1.5
FLUSH_GRACE_SECONDS = 0.5
OPERATOR_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class RuntimeOperator:
    """The queue, what it knows of Runtimes, the slow timer, and who posts Events."""

    queue: Queue
    index: KeyIndex
    resync: Resync
    recorder: EventRecorder


def start(
    site: Installation,
    api: ApiClient,
    backend: Backend,
    scope: Scope,
    metrics: Metrics,
    *,
    engine: EngineContact,
    boot: Boot,
) -> RuntimeOperator:
    """The work queue and the slow timer; kopf and what else brings keys are started apart."""
    recorder = EventRecorder(api, site.node_name, time.time)
    index = KeyIndex()
    around = ReconcilerDependencies(
        api=api,
        backend=backend,
        node=scope.node,
        image_prefixes=site.settings.image_prefixes,
        clock=time.time,
        boot=boot,
        engine=engine,
    )
    queue = Queue(
        instrumentation.reconcile(Reconciler(around, site.install_id, recorder, index, scope).reconcile, metrics)
    )
    site.stack.push_async_callback(_flush, recorder)
    site.stack.push_async_callback(queue.stop, QUEUE_GRACE_SECONDS)
    site.supervisor.start(f"the events of {scope.backend} runtimes", recorder.run)
    return RuntimeOperator(queue, index, _start_resync(site, around, queue, recorder, scope), recorder)


def _start_resync(
    site: Installation, around: ReconcilerDependencies, queue: Queue, recorder: EventRecorder, scope: Scope
) -> Resync:
    name = f"the slow timer of {scope.backend} runtimes"
    site.stack.callback(site.beats.forget, name)
    resync = Resync(
        around.api,
        around.backend,
        queue,
        recorder,
        site.beats.expect(name, RESYNC_SECONDS),
        install_id=site.install_id,
        scope=scope,
        subject=Subject(kinds.EDGE_NODES, site.node_name),
    )
    site.supervisor.start(name, resync.run)
    return resync


def start_kopf(site: Installation, endpoint: Endpoint, queue: Queue, scope: Scope) -> OperatorThread:
    """Run kopf in its thread, and see that its loop turns."""
    operator = OperatorThread(endpoint, queue.reconcile, node=site.node_name, field_selector=scope.selector)
    operator.start()
    site.stack.push_async_callback(operator.stop, OPERATOR_GRACE_SECONDS)
    name = f"the operator of {scope.backend} runtimes"
    site.stack.callback(site.beats.forget, name)
    beat = site.beats.expect(name, OPERATOR_SECONDS)

    async def watch() -> None:
        while True:
            if await operator.responds(OPERATOR_CHECK_SECONDS):
                beat()
            await asyncio.sleep(OPERATOR_CHECK_SECONDS)

    site.supervisor.start(f"the watch over {name}", watch)
    return operator


async def _flush(recorder: EventRecorder) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(recorder.flush(), FLUSH_GRACE_SECONDS)
