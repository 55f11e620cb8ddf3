"""One operator: kopf queues the keys of a scope, and workers reconcile them. The node and pods roles have one each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from controller.api import kinds
from controller.backends.protocol import Backend
from controller.boottime import Boot
from controller.machinery.controller import Controller
from controller.machinery.event_recorder import EventRecorder, Subject
from controller.manager.environment import Environment, Run
from controller.runtimes.event_sources import Resync
from controller.runtimes.keys import Key, KeyIndex
from controller.runtimes.operator.thread import OperatorThread
from controller.runtimes.reconcile_context import ReconcilerDependencies
from controller.runtimes.reconciler import Reconciler
from controller.runtimes.restart_context import EngineContact
from controller.runtimes.result import Result, work_queue
from controller.runtimes.scope import Scope

RESYNC_SECONDS = 300.0  # time without a heartbeat after which a loop counts as stuck
OPERATOR_SECONDS = 120.0
OPERATOR_CHECK_SECONDS = 10.0
READY_SECONDS = 2.0
QUEUE_GRACE_SECONDS = 1.5
FLUSH_GRACE_SECONDS = 0.5
OPERATOR_GRACE_SECONDS = 1.0


class RuntimeOperator:
    """Reconciles the Runtimes of ``scope`` with ``backend``; other event sources add keys to ``queue``."""

    def __init__(
        self, environment: Environment, backend: Backend, scope: Scope, *, engine: EngineContact, boot: Boot
    ) -> None:
        installation = environment.installation
        self._name = f"of {scope.backend} runtimes"
        self._beat = environment.beat(f"the operator {self._name}", OPERATOR_SECONDS)
        self.index = KeyIndex()
        self.recorder = EventRecorder(installation.api, installation.node_name, time.time)
        dependencies = ReconcilerDependencies(
            api=installation.api,
            backend=backend,
            node=scope.node,
            image_prefixes=installation.settings.image_prefixes,
            clock=time.time,
            boot=boot,
            engine=engine,
        )
        self._reconciler = Reconciler(dependencies, installation.install_id, self.recorder, self.index, scope)
        self._metrics = environment.metrics
        self.queue = work_queue(self._reconcile)
        self.resync = Resync(
            installation.api,
            backend,
            self.queue,
            partial(self.recorder.record, Subject(kinds.EDGE_NODES, installation.node_name)),
            environment.beat(f"the resync {self._name}", RESYNC_SECONDS),
            is_settled=self._reconciler.is_settled,
            install_id=installation.install_id,
            scope=scope,
        )
        self._kopf = OperatorThread(
            installation.endpoint,
            self.queue.reconcile,
            self._reconciler.has_read,
            node=installation.node_name,
            field_selector=scope.selector,
        )

    @property
    def controllers(self) -> Mapping[str, Run]:
        """Return the loops by name."""
        return {
            f"the events {self._name}": self.recorder.controller.run,
            f"the resync {self._name}": self.resync.controller.run,
            f"the operator {self._name}": self._run_kopf,
        }

    def changed(self, runtime: Mapping[str, Any]) -> None:
        """Begin a pass over a Runtime that this process has just written; kopf, which hears of it later, adds none."""
        metadata = runtime["metadata"]
        self.queue.add(Key(metadata["namespace"], metadata["name"]))

    async def stop(self) -> None:
        """Stop kopf and the queue, and post the last Events, each within its grace period."""
        # In the direction of the data: kopf adds keys to the queue, and the last passes of the queue record Events.
        await self._kopf.stop(OPERATOR_GRACE_SECONDS)
        await self.queue.stop(QUEUE_GRACE_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_GRACE_SECONDS):
                await self.recorder.flush()

    async def check(self) -> str | None:
        """Return why kopf is not ready, None if it is."""
        return None if await self._kopf.responds(READY_SECONDS) else "not started yet, or stuck"

    async def _run_kopf(self) -> None:
        """Run kopf in its thread and watch that its loop responds."""
        self._kopf.start()
        await Controller(f"check the operator {self._name}", self._check_kopf, period=OPERATOR_CHECK_SECONDS).run()

    async def _check_kopf(self) -> None:
        # A thread that is alive proves nothing: a stuck loop handles no Runtime and raises no error.
        if await self._kopf.responds(OPERATOR_CHECK_SECONDS):
            self._beat()

    async def _reconcile(self, key: Key, interrupted: asyncio.Event) -> Result:
        """Run a pass and record its duration and outcome."""
        # A pass that raises or is cancelled has no outcome of its own.
        began, outcome = time.monotonic(), "error"
        try:
            result = await self._reconciler.reconcile(key, interrupted)
            outcome = result.outcome.kind
            return result
        finally:
            self._metrics.observe_reconcile(outcome, time.monotonic() - began)
