"""``reconcile(key)``: runs a pass over the Runtime of a key and records the outcome.

Level-triggered: called repeatedly for the same key from any source, each call starts from the current object.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from controller import errors, names
from controller.api import claims, reasons
from controller.api.runtime_status import RuntimeStatus
from controller.api.runtimes import Runtime
from controller.machinery import conditions
from controller.machinery.event_recorder import EventRecorder, Subject
from controller.machinery.workqueue import WORKERS
from controller.runtimes import objects, status
from controller.runtimes import outcome as outcomes
from controller.runtimes.admission import Admission, Admitted, Decision, Outage, Refused
from controller.runtimes.facets.table import FACETS
from controller.runtimes.generation_guard import GenerationGuard, Superseded
from controller.runtimes.keys import Key, KeyIndex, Version
from controller.runtimes.last_read import LastRead
from controller.runtimes.outcome import Outcome, Report
from controller.runtimes.owners import Owners
from controller.runtimes.reconcile_context import ReconcileContext, ReconcilerDependencies
from controller.runtimes.reconciliation import Reconciliation
from controller.runtimes.releases import Releases
from controller.runtimes.result import GONE, SUPERSEDED, Result
from controller.runtimes.scope import Scope
from controller.runtimes.status_throttle import StatusThrottle
from controller.runtimes.status_writer import StatusWriter
from controller.runtimes.steps import StepRecorder
from controller.runtimes.turns import Turns

log = logging.getLogger(__name__)

# With an API in this process a pass computes, and holds its objects meanwhile; with another one it mostly waits.
AT_ONCE = 16

_ANNOTATIONS_FULL = (
    "The annotations are full, so the controller cannot note there which Runtime owns the container: use "
    "`kubectl apply --server-side`, which keeps no copy of the manifest in them"
)


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
        self._install_id = install_id
        self._recorder = recorder
        self._index = index
        self._namespaces = scope.namespaces
        self._throttle = StatusThrottle(dependencies.boot.elapsed)
        self._turns = Turns(AT_ONCE if dependencies.api.has_transactions else WORKERS)
        owners = Owners(dependencies.api, dependencies.backend, install_id, index, scope, self._turns)
        self._admission = Admission(dependencies.api, owners, scope, dependencies.node)
        self._last_read = LastRead()
        self._releases = Releases()
        self._observed: dict[Key, float] = {}  # when, in seconds since boot
        self._uids: dict[Key, str] = {}
        self._versions: dict[Key, Version] = {}  # of the last pass
        self._deciding: dict[Key, Version] = {}  # whether a pass may run
        # Weak: a lock exists while somebody holds it or waits for it, so nobody has to remove it.
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    async def reconcile(self, key: Key, interrupted: asyncio.Event) -> Result:
        """Run one pass over a Runtime; ``interrupted`` is set when its object changes during the pass.

        Raises errors.ApiError when the Runtime cannot be read, or its status not written before the first step.
        """
        async with self._lock(key), self._turns:
            return self._releases.after(key, await self._reconcile(key, interrupted))

    async def _reconcile(self, key: Key, interrupted: asyncio.Event) -> Result:
        try:
            match await self._admit(key):
                case Admitted() as admitted:
                    if admitted.deleting:
                        self._forget(key)
                    result = await self._run(key, admitted, interrupted)
                case Refused() as refused:
                    result = await self._report(key, refused)
                case Outage(error):
                    result = await self._repair(key, error)
                case Result() as result:
                    pass
        except errors.NotFoundError:
            result = GONE
        except Superseded:
            return SUPERSEDED
        if result.outcome.kind == "gone":
            self._forget(key)
        return result

    async def _admit(self, key: Key) -> Decision:
        try:
            return await self._admission.admit(key, partial(self._deciding.__setitem__, key))
        finally:
            self._deciding.pop(key, None)

    def has_read(self, key: Key, version: Version) -> bool:
        """Whether the last pass works or has worked on this version; if it failed, the queue retries it."""
        return version in (self._versions.get(key), self._deciding.get(key))

    async def is_settled(self, body: dict[str, Any]) -> bool:
        """Whether a pass over a Runtime, as it was just listed, would find nothing to do. Sends no request to the API.

        For a Runtime that no other one shares its deviceId with, and that has one container at most. The list may be
        outdated, so nothing is done by it.
        """
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        # Observing notes the addresses and devices of the spec: neither an older spec may do that, nor two at once.
        if not self.has_read(key, Version.of(body["metadata"])) or self._lock(key).locked():
            return False
        if key not in self._observed:
            return False
        async with self._lock(key), self._turns:
            return await self._would_do_nothing(key, body)

    async def _would_do_nothing(self, key: Key, body: dict[str, Any]) -> bool:
        runtime = self._admission.unquestioned(body)
        # What another pass is to write, and adoptions, are left to it.
        if runtime is None or self._throttle.held(runtime.metadata.uid) or not runtime.status.container_id:
            return False
        context = self._context(key, Admitted(runtime, {}, rival=""), asyncio.Event(), None)
        with contextlib.suppress(Exception):  # also a bug: the pass that follows reports it
            return await Reconciliation(self._dependencies, context).finds_nothing_to_do()
        return False

    def _forget(self, key: Key) -> None:
        """Drop all state about a Runtime that is gone or owns no container."""
        self._index.forget(key)
        self._observed.pop(key, None)
        self._versions.pop(key, None)
        self._last_read.forget(key)
        # Also of a Runtime that is being deleted or owns nothing, of which nothing else is remembered.
        if uid := self._uids.pop(key, None):
            self._throttle.forget(uid)

    async def _repair(self, key: Key, outage: errors.ApiError) -> Result:
        """Repair networks and devices by the spec that was last read. Raises the outage if it was never read.

        The result is never settled: the Runtime may have been changed or deleted since.
        """
        seen = self._last_read.get(key)
        if seen is None:
            raise outage
        runtime, rival = seen
        # Compared with an empty status, every new one is written, which fails with the outage, and is therefore kept.
        return await self._run(key, Admitted(runtime, {}, rival), asyncio.Event(), outage)

    async def _run(
        self, key: Key, admitted: Admitted, interrupted: asyncio.Event, outage: errors.ApiError | None = None
    ) -> Result:
        """Run a pass. If its status cannot be written after a step, keep the status and retry."""
        context = self._context(key, admitted, interrupted, outage)
        self._note(key, context)
        reconciliation = Reconciliation(self._dependencies, context)
        try:
            outcome = await reconciliation.run()
        except errors.NotFoundError:
            raise
        except errors.ApiError as refusal:
            outage = refusal
        finally:
            # Also after a failure: during an outage, the next pass starts from what was written last.
            self._remember(key, admitted, context.writer.written)
            if reconciliation.observed:
                self._observed[key] = reconciliation.seen_at
        if outage is None:
            # While the status is held, every pass would see the same transition again.
            if not reconciliation.held_seconds:
                self._record_transition(objects.subject(key, context.target.uid), context.runtime, outcome)
            return Result(
                outcome,
                acted=reconciliation.acted,
                held_seconds=reconciliation.held_seconds,
                observed_at=reconciliation.observed_at,
            )
        if not reconciliation.acted:
            raise outage
        log.warning(
            "Cannot write the status of %s, keeping it for a retry: %s", key, outage, extra={"runtime": str(key)}
        )
        # Not raised: the queue must know of the executed steps, or their events would start the next pass at once.
        return Result(outcomes.of_error(outage), acted=True)

    async def _report(self, key: Key, refused: Refused) -> Result:
        """Write the outcome without observing the container."""
        if refused.disowned:
            self._forget(key)
        runtime, current = refused.runtime, refused.runtime.status
        target, now = objects.target(self._install_id, runtime), self._dependencies.clock()
        self._note_uid(key, target.uid)
        report = Report(target=target, outcome=refused.outcome, now=now, node=refused.node)
        writer = StatusWriter(self._dependencies.api, key, current.wire(), current, self._throttle, target.uid)
        await writer.write(status.after(refused.known, report))
        self._record_transition(objects.subject(key, target.uid), runtime, refused.outcome)
        return Result(refused.outcome)

    def _lock(self, key: Key) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def _note(self, key: Key, context: ReconcileContext) -> None:
        """Note the object of the key, and what it needs of the host."""
        self._note_uid(key, context.target.uid)
        needs = (need for facet in FACETS for need in facet.needs(context.runtime.spec))
        self._index.remember(context.target.identity, key, needs)
        version = Version(context.target.uid, context.runtime.metadata.generation)
        before, self._versions[key] = self._versions.get(key), version
        if before != version:
            self._note_version(key, context, is_change=before is not None)

    def _note_version(self, key: Key, context: ReconcileContext, *, is_change: bool) -> None:
        """Note that this is the first pass over a spec."""
        if is_change:
            self._releases.note_change(key)
        metadata = context.runtime.metadata
        if metadata.deletion_timestamp is None and not claims.has_room(metadata.annotations, metadata.uid):
            subject = objects.subject(key, metadata.uid)
            self._recorder.record(subject, "Warning", reasons.ANNOTATIONS_FULL, _ANNOTATIONS_FULL)

    def _note_uid(self, key: Key, uid: str) -> None:
        """Note which object has the key; what is still to be written to an earlier one of the same name is void."""
        before, self._uids[key] = self._uids.get(key, uid), uid
        if before != uid:
            self._throttle.forget(before)

    def _remember(self, key: Key, admitted: Admitted, written: RuntimeStatus) -> None:
        """Keep the Runtime for an outage of the API; one that is being deleted is not repaired."""
        if not admitted.deleting:
            self._last_read.remember(key, admitted.runtime.model_copy(update={"status": written}), admitted.rival)

    def _context(
        self, key: Key, admitted: Admitted, interrupted: asyncio.Event, outage: errors.ApiError | None
    ) -> ReconcileContext:
        api, runtime = self._dependencies.api, admitted.runtime
        target = objects.target(self._install_id, runtime, admitted.rival)
        return ReconcileContext(
            runtime=runtime,
            target=target,
            guard=GenerationGuard(api, runtime, interrupted),
            known=self._throttle.held(target.uid) or runtime.status,
            writer=StatusWriter(api, key, admitted.status, runtime.status, self._throttle, target.uid, outage),
            recorder=StepRecorder(self._recorder, objects.subject(key, target.uid)),
            turns=self._turns,
            seen_at=self._observed.get(key),
            outdated=outage is not None,
            instead_of_ready=None if self._namespaces.serves(key.namespace) else outcomes.unserved(key.namespace),
        )

    def _record_transition(self, subject: Subject, runtime: Runtime, outcome: Outcome) -> None:
        """Log and record an event if the reason of the condition Ready changed."""
        before = conditions.find(runtime.status.conditions, names.READY)
        if outcome.kind == "gone" or (before is not None and before.reason == outcome.reason):
            return
        extra = {"runtime": f"{subject.namespace}/{subject.name}"}
        log.log(
            logging.WARNING if outcome.failed else logging.INFO, "%s: %s", outcome.reason, outcome.message, extra=extra
        )
        self._recorder.record(subject, "Warning" if outcome.failed else "Normal", outcome.reason, outcome.message)
