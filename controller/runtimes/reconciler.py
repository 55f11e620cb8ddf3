"""``reconcile(key)``: from a key to a Runtime to a pass, and from its outcome to an event and a result.

Called again and again for the same key, from any source, at any time; each call starts from what the API says now.
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
from controller.runtimes import exclusive_interface, objects, status
from controller.runtimes import outcome as outcomes
from controller.runtimes.generation_guard import GenerationGuard, Superseded
from controller.runtimes.keys import Key, KeyIndex
from controller.runtimes.outcome import Outcome
from controller.runtimes.owners import Owners
from controller.runtimes.reconciliation import ReconcileContext, ReconcilerDependencies, Reconciliation
from controller.runtimes.scope import Scope
from controller.runtimes.status_throttle import StatusThrottle
from controller.runtimes.status_writer import StatusWriter
from controller.runtimes.steps import StepNotes

log = logging.getLogger(__name__)


class Result(NamedTuple):
    """How a pass ended, for the queue and for a handler.

    ``again`` asks for another pass at once, ``acted`` tells that steps were made. ``held_seconds`` asks for one when
    the status may be written, 0 when it is. ``wake`` are others that something changed for.
    """

    outcome: Outcome
    again: bool = False
    acted: bool = False
    held_seconds: float = 0.0
    wake: tuple[Key, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be done until something changes."""
        return not self.again and self.outcome.kind in ("ready", "paused", "gone")


GONE = Result(Outcome("gone", reasons.DELETED, "The Runtime does not exist"))
NOT_OURS = Result(Outcome("gone", reasons.PROGRESSING, "Another node or backend runs it"))
NOT_HELD = Result(Outcome("waiting", reasons.PROGRESSING, "It waits for its finalizer"))
STOPPING = Result(Outcome("waiting", reasons.PROGRESSING, "The controller stops"))
SUPERSEDED = Result(Outcome("waiting", reasons.PROGRESSING, "The wish changed meanwhile"), again=True)


class _Seen(NamedTuple):
    """A Runtime as the API had it last, and who else needed its dedicated interface then."""

    runtime: runtimes.Runtime
    rival: str


class Reconciler:
    """The one reconcile of the Runtimes of one scope."""

    def __init__(
        self, around: ReconcilerDependencies, install_id: str, recorder: EventRecorder, index: KeyIndex, scope: Scope
    ) -> None:
        self._around = around
        self._install_id = install_id
        self._recorder = recorder
        self._index = index
        self._scope = scope
        self._pace = StatusThrottle(around.boot.elapsed)
        self._owners = Owners(around.api, around.backend, install_id, index, scope)
        self._seen: dict[Key, _Seen] = {}
        self._observed: set[Key] = set()

    async def reconcile(self, key: Key, interrupted: asyncio.Event) -> Result:
        """Bring one Runtime nearer to its wish; ``interrupted`` is set when its object changes meanwhile.

        Raises errors.ApiError when the API does not let us read it, or write its status before anything was done.
        """
        try:
            body = await self._around.api.get(kinds.RUNTIMES, key.name, key.namespace)
        except errors.NotFoundError:
            return self._gone(key)
        except errors.ApiError as outage:
            return await self._repair(key, outage)
        return await self._pass(key, body, interrupted)

    async def _pass(self, key: Key, body: dict[str, Any], interrupted: asyncio.Event) -> Result:
        try:
            result = await self._handle(key, body, interrupted)
        except errors.NotFoundError:
            return self._gone(key)
        except Superseded:
            return SUPERSEDED
        if result.outcome.kind == "gone":
            self._forget(key)
        return result

    def _gone(self, key: Key) -> Result:
        self._forget(key)
        return GONE

    def _forget(self, key: Key) -> None:
        """What this process knows of it: it is gone, or owns no container."""
        self._index.forget(key)
        self._observed.discard(key)
        if seen := self._seen.pop(key, None):
            self._pace.forget(seen.runtime.metadata.uid)

    async def _repair(self, key: Key, outage: errors.ApiError) -> Result:
        """Restore networks and devices of a Runtime as it was last read. Raises the outage when it was never read.

        The result is never settled: the API may have another spec by now, or a deletion.
        """
        seen = self._seen.get(key)
        if seen is None:
            raise outage
        target = objects.target(self._install_id, seen.runtime, seen.rival)
        return await self._run(key, self._case(key, seen.runtime, target, {}, asyncio.Event(), outage), outage)

    async def _run(self, key: Key, case: ReconcileContext, outage: errors.ApiError | None = None) -> Result:
        """A pass; when its status cannot be written after a step, that is kept and the pass repeated."""
        reconciliation = Reconciliation(self._around, case)
        try:
            outcome = await reconciliation.run()
        except errors.NotFoundError:
            raise
        except errors.ApiError as refusal:
            outage = refusal
        finally:
            self._note_written(key, case.writer.written)
            if reconciliation.observed:
                self._observed.add(key)
        if outage is None:
            if not reconciliation.held_seconds:
                self._record_transition(objects.subject(key, case.target.uid), case.runtime, outcome)
            wake = self._index.namesakes(case.target.identity) if outcome.kind == "gone" else ()
            return Result(outcome, acted=reconciliation.acted, held_seconds=reconciliation.held_seconds, wake=wake)
        if not reconciliation.acted:
            raise outage
        log.warning("The status of %s is kept until it can be written: %s", key, outage, extra={"runtime": str(key)})
        return Result(outcomes.of_error(outage), acted=True)

    async def _handle(self, key: Key, body: dict[str, Any], interrupted: asyncio.Event) -> Result:
        if elsewhere := self._scope.elsewhere(body["spec"]):
            return await self._refuse(key, body, elsewhere) if self._events_of(body) else NOT_OURS
        held = names.FINALIZER in (body["metadata"].get("finalizers") or ())
        deleting = bool(body["metadata"].get("deletionTimestamp"))
        if not held:
            return GONE if deleting else NOT_HELD
        if not deleting:
            body = await self._assign(key, body)
        try:
            runtime = runtimes.Runtime.model_validate(body)
        except pydantic.ValidationError as error:
            if not deleting:
                return await self._refuse(key, body, objects.fault(error))
            runtime = objects.bare(body)
        return await self._own(key, runtime, body, interrupted)

    async def _own(
        self, key: Key, runtime: runtimes.Runtime, body: dict[str, Any], interrupted: asyncio.Event
    ) -> Result:
        """A pass of the owner of the deviceId; any other one waits, and touches nothing."""
        deleting = runtime.metadata.deletion_timestamp is not None
        try:
            ownership, rival = await self._owners.of(body), await self._rival(runtime)
        except errors.EdgeError as error:
            if deleting or isinstance(error, errors.NotFoundError):
                raise
            return await self._without_owner(key, runtime, error)
        if not ownership.is_of(body):
            self._forget(key)
            return GONE if deleting else await self._wait(key, runtime, ownership.owner)
        if deleting and (successor := await self._owners.hand_over(body, ownership.others)):
            log.info("The container of %s is handed over to %s", key, successor, extra={"runtime": str(key)})
            return Result(GONE.outcome, wake=(successor,))
        return await self._attempt(key, runtime, rival, body.get("status") or {}, interrupted)

    async def _without_owner(self, key: Key, runtime: runtimes.Runtime, error: errors.EdgeError) -> Result:
        """Nobody can tell now who owns it: what this process knew lasts for repairs."""
        if isinstance(error, errors.ApiError):
            return await self._repair(key, error)
        return await self._report_failure(key, runtime, outcomes.of_error(error), runtime.status, runtime.status.node)

    async def _wait(self, key: Key, runtime: runtimes.Runtime, owner: Mapping[str, Any]) -> Result:
        """Say who owns the deviceId; nothing that is known of the container is this Runtime's."""
        known = status.without_container(runtime.status)
        return await self._report_failure(key, runtime, outcomes.owned_by(owner), known, known.node)

    def _events_of(self, body: dict[str, Any]) -> bool:
        """Whether we are the only node there is: nobody else would tell that nobody runs it."""
        return self._scope.claims and not body["metadata"].get("deletionTimestamp")

    async def _assign(self, key: Key, body: dict[str, Any]) -> dict[str, Any]:
        """Set nodeName and backend where they are not set yet."""
        missing = self._scope.unset(body["spec"])
        if not missing:
            return body
        return await self._around.api.patch(kinds.RUNTIMES, key.name, key.namespace, {"spec": missing})

    async def _refuse(self, key: Key, body: dict[str, Any], message: str) -> Result:
        """Nothing is touched, and the status says why."""
        outcome = Outcome("stalled", reasons.SPEC_IMPOSSIBLE, message)
        bare = objects.bare(body)
        return await self._report_failure(key, bare, outcome, bare.status, self._around.node)

    async def _report_failure(
        self, key: Key, runtime: runtimes.Runtime, outcome: Outcome, known: RuntimeStatus, node: str | None
    ) -> Result:
        """Write how it stands, without a look at what runs."""
        target, now = objects.target(self._install_id, runtime), self._around.clock()
        report = status.Report(target=target, outcome=outcome, now=now, node=node)
        ownership = runtime.status
        writer = StatusWriter(self._around.api, key, ownership.wire(), ownership, self._pace, target.uid)
        await writer.write(status.after(known, report))
        self._record_transition(objects.subject(key, target.uid), runtime, outcome)
        return Result(outcome)

    async def _attempt(
        self,
        key: Key,
        runtime: runtimes.Runtime,
        rival: str,
        ownership: dict[str, Any],
        interrupted: asyncio.Event,
    ) -> Result:
        if runtime.metadata.deletion_timestamp is None:
            self._seen[key] = _Seen(runtime, rival)
        else:
            self._forget(key)
        target = objects.target(self._install_id, runtime, rival)
        return await self._run(key, self._case(key, runtime, target, ownership, interrupted))

    def _note_written(self, key: Key, written: RuntimeStatus) -> None:
        if seen := self._seen.get(key):
            self._seen[key] = seen._replace(runtime=seen.runtime.model_copy(update={"status": written}))

    def _case(
        self,
        key: Key,
        runtime: runtimes.Runtime,
        target: base.Target,
        ownership: dict[str, Any],
        interrupted: asyncio.Event,
        outage: errors.ApiError | None = None,
    ) -> ReconcileContext:
        self._index.remember(
            target.identity, key, objects.parent_interfaces(runtime), devices=bool(runtime.spec.serial_ports)
        )
        return ReconcileContext(
            runtime=runtime,
            target=target,
            guard=GenerationGuard(self._around.api, runtime, interrupted),
            known=self._pace.held(target.uid) or runtime.status,
            writer=StatusWriter(self._around.api, key, ownership, runtime.status, self._pace, target.uid, outage),
            notes=StepNotes(self._recorder, objects.subject(key, target.uid)),
            watched=key in self._observed,
            outdated=outage is not None,
        )

    async def _rival(self, runtime: runtimes.Runtime) -> str:
        """Who else of this node needs the interface that it is to have to itself, "" for nobody."""
        if runtime.spec.dedicated_interface is None:
            return ""
        selector = f"spec.nodeName={self._around.node}"
        bodies = await self._around.api.list(kinds.RUNTIMES, field_selector=selector)
        return exclusive_interface.rival(runtime, bodies)

    def _record_transition(self, subject: Subject, runtime: runtimes.Runtime, outcome: Outcome) -> None:
        """One line and one event when the summary changed, nothing otherwise."""
        before = conditions.find(runtime.status.conditions, names.READY)
        if outcome.kind == "gone" or (before is not None and before.reason == outcome.reason):
            return
        extra = {"runtime": f"{subject.namespace}/{subject.name}"}
        log.log(
            logging.WARNING if outcome.failed else logging.INFO, "%s: %s", outcome.reason, outcome.message, extra=extra
        )
        self._recorder.record(subject, "Warning" if outcome.failed else "Normal", outcome.reason, outcome.message)


def result_of(error: errors.EdgeError) -> Result:
    """The result of a pass that ``error`` ended before its status was written."""
    return Result(outcomes.of_error(error))
