"""``reconcile(key)``: reads the Runtime of a key, runs a pass over it, and records the outcome.

Level-triggered: called repeatedly for the same key from any source, each call starts from the current object.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import pydantic

from controller import errors, names
from controller.api import kinds, reasons, runtimes
from controller.api.runtime_status import RuntimeStatus
from controller.backends import base
from controller.machinery import conditions
from controller.machinery.event_recorder import EventRecorder, Subject
from controller.runtimes import objects, status
from controller.runtimes import outcome as outcomes
from controller.runtimes.facets import dedicated_interface
from controller.runtimes.generation_guard import GenerationGuard, Superseded
from controller.runtimes.keys import Key, KeyIndex
from controller.runtimes.outcome import Outcome, Report
from controller.runtimes.owners import Owners
from controller.runtimes.reconciliation import ReconcileContext, ReconcilerDependencies, Reconciliation
from controller.runtimes.result import GONE, NO_FINALIZER, NOT_OURS, SUPERSEDED, Result
from controller.runtimes.scope import Scope
from controller.runtimes.status_throttle import StatusThrottle
from controller.runtimes.status_writer import StatusWriter
from controller.runtimes.steps import StepRecorder

log = logging.getLogger(__name__)


class _Seen(NamedTuple):
    """A Runtime as last read from the API, and the rival for its dedicated interface at that time."""

    runtime: runtimes.Runtime
    rival: str


class Reconciler:
    """Reconciles the Runtimes of one scope."""

    def __init__(
        self,
        dependencies: ReconcilerDependencies,
        install_id: str,
        recorder: EventRecorder,
        index: KeyIndex,
        scope: Scope,
    ) -> None:
        self._dependencies = dependencies
        self._api, self._node = dependencies.api, dependencies.node
        self._install_id = install_id
        self._recorder = recorder
        self._index = index
        self._scope = scope
        self._throttle = StatusThrottle(dependencies.boot.elapsed)
        self._owners = Owners(dependencies.api, dependencies.backend, install_id, index, scope)
        self._seen: dict[Key, _Seen] = {}
        self._observed: set[Key] = set()

    async def reconcile(self, key: Key, interrupted: asyncio.Event) -> Result:
        """Run one pass over a Runtime; ``interrupted`` is set when its object changes during the pass.

        Raises errors.ApiError when the Runtime cannot be read, or its status not written before the first step.
        """
        try:
            body = await self._api.get(kinds.RUNTIMES, key.name, key.namespace)
        except errors.NotFoundError:
            return self._forget(key)
        except errors.ApiError as outage:
            return await self._repair(key, outage)
        return await self._pass(key, body, interrupted)

    async def _pass(self, key: Key, body: dict[str, Any], interrupted: asyncio.Event) -> Result:
        try:
            result = await self._dispatch(key, body, interrupted)
        except errors.NotFoundError:
            return self._forget(key)
        except Superseded:
            return SUPERSEDED
        if result.outcome.kind == "gone":
            self._forget(key)
        return result

    def _forget(self, key: Key) -> Result:
        """Drop all state about a Runtime that is gone or owns no container."""
        self._index.forget(key)
        self._observed.discard(key)
        if seen := self._seen.pop(key, None):
            self._throttle.forget(seen.runtime.metadata.uid)
        return GONE

    async def _repair(self, key: Key, outage: errors.ApiError) -> Result:
        """Repair networks and devices by the spec that was last read. Raises the outage if it was never read.

        The result is never settled: the Runtime may have been changed or deleted since.
        """
        seen = self._seen.get(key)
        if seen is None:
            raise outage
        target = objects.target(self._install_id, seen.runtime, seen.rival)
        return await self._run(key, self._context(key, seen.runtime, target, {}, asyncio.Event(), outage), outage)

    async def _run(self, key: Key, context: ReconcileContext, outage: errors.ApiError | None = None) -> Result:
        """Run a pass. If its status cannot be written after a step, keep the status and retry."""
        reconciliation = Reconciliation(self._dependencies, context)
        try:
            outcome = await reconciliation.run()
        except errors.NotFoundError:
            raise
        except errors.ApiError as refusal:
            outage = refusal
        finally:
            self._note_written(key, context.writer.written)
            if reconciliation.observed:
                self._observed.add(key)
        if outage is None:
            if not reconciliation.held_seconds:
                self._record_transition(objects.subject(key, context.target.uid), context.runtime, outcome)
            wake = self._index.namesakes(context.target.identity) if outcome.kind == "gone" else ()
            return Result(outcome, acted=reconciliation.acted, held_seconds=reconciliation.held_seconds, wake=wake)
        if not reconciliation.acted:
            raise outage
        log.warning(
            "Cannot write the status of %s, keeping it for a retry: %s", key, outage, extra={"runtime": str(key)}
        )
        return Result(outcomes.of_error(outage), acted=True)

    async def _dispatch(self, key: Key, body: dict[str, Any], interrupted: asyncio.Event) -> Result:
        if elsewhere := self._scope.elsewhere(body["spec"]):
            return await self._refuse(key, body, elsewhere) if self._must_report(body) else NOT_OURS
        held = names.FINALIZER in (body["metadata"].get("finalizers") or ())
        deleting = bool(body["metadata"].get("deletionTimestamp"))
        if not held:
            return GONE if deleting else NO_FINALIZER
        if not deleting:
            body = await self._assign(key, body)
        try:
            runtime = runtimes.Runtime.model_validate(body)
        except pydantic.ValidationError as error:
            if not deleting:
                return await self._refuse(key, body, objects.fault(error))
            runtime = objects.bare(body)
        return await self._reconcile_if_owner(key, runtime, body, interrupted)

    async def _reconcile_if_owner(
        self, key: Key, runtime: runtimes.Runtime, body: dict[str, Any], interrupted: asyncio.Event
    ) -> Result:
        """Run a pass if the Runtime owns its deviceId; otherwise it waits and touches nothing."""
        deleting = runtime.metadata.deletion_timestamp is not None
        try:
            ownership, rival = await self._owners.of(body), await self._rival(runtime)
        except errors.EdgeError as error:
            if deleting or isinstance(error, errors.NotFoundError):
                raise
            return await self._without_owner(key, runtime, error)
        if not ownership.is_of(body):
            self._forget(key)
            return GONE if deleting else await self._report_owner(key, runtime, ownership.owner)
        if deleting and (successor := await self._owners.hand_over(body, ownership.others)):
            log.info("Handed the container of %s over to %s", key, successor, extra={"runtime": str(key)})
            return Result(GONE.outcome, wake=(successor,))
        return await self._reconcile_owned(key, runtime, rival, body.get("status") or {}, interrupted)

    async def _without_owner(self, key: Key, runtime: runtimes.Runtime, error: errors.EdgeError) -> Result:
        """The owner cannot be determined: on an API error, repair by what was last read; otherwise report the error."""
        if isinstance(error, errors.ApiError):
            return await self._repair(key, error)
        return await self._report_failure(key, runtime, outcomes.of_error(error), runtime.status, runtime.status.node)

    async def _report_owner(self, key: Key, runtime: runtimes.Runtime, owner: Mapping[str, Any]) -> Result:
        """Report the owner of the deviceId, without the facts of a container that is not this Runtime's."""
        known = status.without_container(runtime.status)
        return await self._report_failure(key, runtime, outcomes.owned_by(owner), known, known.node)

    def _must_report(self, body: dict[str, Any]) -> bool:
        """Whether this is the only node: no other process would report that the Runtime is not run anywhere."""
        return self._scope.claims and not body["metadata"].get("deletionTimestamp")

    async def _assign(self, key: Key, body: dict[str, Any]) -> dict[str, Any]:
        """Set nodeName and backend where they are not set yet."""
        missing = self._scope.unset(body["spec"])
        if not missing:
            return body
        return await self._api.patch(kinds.RUNTIMES, key.name, key.namespace, {"spec": missing})

    async def _refuse(self, key: Key, body: dict[str, Any], message: str) -> Result:
        """Report why the Runtime is not reconciled; touch nothing."""
        outcome = Outcome("stalled", reasons.SPEC_IMPOSSIBLE, message)
        bare = objects.bare(body)
        return await self._report_failure(key, bare, outcome, bare.status, self._node)

    async def _report_failure(
        self, key: Key, runtime: runtimes.Runtime, outcome: Outcome, known: RuntimeStatus, node: str | None
    ) -> Result:
        """Write the outcome without observing the container."""
        target, now = objects.target(self._install_id, runtime), self._dependencies.clock()
        report = Report(target=target, outcome=outcome, now=now, node=node)
        current = runtime.status
        writer = StatusWriter(self._api, key, current.wire(), current, self._throttle, target.uid)
        await writer.write(status.after(known, report))
        self._record_transition(objects.subject(key, target.uid), runtime, outcome)
        return Result(outcome)

    async def _reconcile_owned(
        self,
        key: Key,
        runtime: runtimes.Runtime,
        rival: str,
        current: dict[str, Any],
        interrupted: asyncio.Event,
    ) -> Result:
        if runtime.metadata.deletion_timestamp is None:
            self._seen[key] = _Seen(runtime, rival)
        else:
            self._forget(key)
        target = objects.target(self._install_id, runtime, rival)
        return await self._run(key, self._context(key, runtime, target, current, interrupted))

    def _note_written(self, key: Key, written: RuntimeStatus) -> None:
        if seen := self._seen.get(key):
            self._seen[key] = seen._replace(runtime=seen.runtime.model_copy(update={"status": written}))

    def _context(
        self,
        key: Key,
        runtime: runtimes.Runtime,
        target: base.Target,
        current: dict[str, Any],
        interrupted: asyncio.Event,
        outage: errors.ApiError | None = None,
    ) -> ReconcileContext:
        self._index.remember(
            target.identity, key, objects.parent_interfaces(runtime), devices=bool(runtime.spec.serial_ports)
        )
        return ReconcileContext(
            runtime=runtime,
            target=target,
            guard=GenerationGuard(self._api, runtime, interrupted),
            known=self._throttle.held(target.uid) or runtime.status,
            writer=StatusWriter(self._api, key, current, runtime.status, self._throttle, target.uid, outage),
            recorder=StepRecorder(self._recorder, objects.subject(key, target.uid)),
            watched=key in self._observed,
            outdated=outage is not None,
        )

    async def _rival(self, runtime: runtimes.Runtime) -> str:
        """The rival for its dedicated interface among the Runtimes of this node, "" for none."""
        if runtime.spec.dedicated_interface is None:
            return ""
        selector = f"spec.nodeName={self._node}"
        bodies = await self._api.list(kinds.RUNTIMES, field_selector=selector)
        return dedicated_interface.rival(runtime, bodies)

    def _record_transition(self, subject: Subject, runtime: runtimes.Runtime, outcome: Outcome) -> None:
        """Log and record an event if the reason of the condition Ready changed."""
        before = conditions.find(runtime.status.conditions, names.READY)
        if outcome.kind == "gone" or (before is not None and before.reason == outcome.reason):
            return
        extra = {"runtime": f"{subject.namespace}/{subject.name}"}
        log.log(
            logging.WARNING if outcome.failed else logging.INFO, "%s: %s", outcome.reason, outcome.message, extra=extra
        )
        self._recorder.record(subject, "Warning" if outcome.failed else "Normal", outcome.reason, outcome.message)
