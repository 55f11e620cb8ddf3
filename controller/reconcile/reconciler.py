"""``reconcile(key)``: from a key to a Runtime to a pass, and from its outcome to an event and a result.

Called again and again for the same key, from any source, at any time; each call starts from what the API says now.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Any, NamedTuple

import pydantic

from controller import errors, names
from controller.backends import base
from controller.network import parents
from controller.reconcile import dedication, status
from controller.reconcile import outcome as outcomes
from controller.reconcile.attempt import Attempt, Case, Surroundings
from controller.reconcile.events import EventRecorder, Subject
from controller.reconcile.keys import Key, KeyIndex
from controller.reconcile.outcome import Outcome
from controller.reconcile.pace import Pace
from controller.reconcile.scope import Scope
from controller.reconcile.status_writer import StatusWriter
from controller.reconcile.steps import StepNotes
from controller.reconcile.wish import Superseded, Wish
from controller.resources import conditions, kinds, metadata, reasons, runtimes
from controller.resources.runtime_status import RuntimeStatus

log = logging.getLogger(__name__)


class Result(NamedTuple):
    """How a pass ended, for the queue and for a handler.

    ``again`` asks for another pass at once, ``acted`` tells that steps were made. ``held_seconds`` asks for one when
    the status may be written, 0 when it is.
    """

    outcome: Outcome
    again: bool = False
    acted: bool = False
    held_seconds: float = 0.0

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be done until something changes."""
        return not self.again and self.outcome.kind in ("ready", "paused", "gone")


GONE = Result(Outcome("gone", reasons.DELETED, "The Runtime does not exist"))
NOT_OURS = Result(Outcome("gone", reasons.PROGRESSING, "Another node or backend runs it"))
NOT_HELD = Result(Outcome("waiting", reasons.PROGRESSING, "It waits for its finalizer"))
STOPPING = Result(Outcome("waiting", reasons.PROGRESSING, "The controller stops"))
SUPERSEDED = Result(Outcome("waiting", reasons.PROGRESSING, "The wish changed meanwhile"), again=True)


class Reconciler:
    """The one reconcile of the Runtimes of one scope."""

    def __init__(
        self, around: Surroundings, install_id: str, recorder: EventRecorder, index: KeyIndex, scope: Scope
    ) -> None:
        self._around = around
        self._install_id = install_id
        self._recorder = recorder
        self._index = index
        self._scope = scope
        self._pace = Pace(around.clock)

    async def reconcile(self, key: Key, interrupted: asyncio.Event) -> Result:
        """Bring one Runtime nearer to its wish; ``interrupted`` is set when its object changes meanwhile.

        Raises errors.ApiError when the API does not let us read it or write its status.
        """
        try:
            body = await self._around.api.get(kinds.RUNTIMES, key.name, key.namespace)
            return await self._handle(key, body, interrupted)
        except errors.NotFoundError:
            self._index.forget(key)
            return GONE
        except Superseded:
            return SUPERSEDED

    async def _handle(self, key: Key, body: dict[str, Any], interrupted: asyncio.Event) -> Result:
        if elsewhere := self._scope.elsewhere(body["spec"]):
            return await self._refuse(key, body, elsewhere) if self._tells(body) else NOT_OURS
        held = names.FINALIZER in (body["metadata"].get("finalizers") or ())
        deleting = bool(body["metadata"].get("deletionTimestamp"))
        if not held:
            return GONE if deleting else NOT_HELD
        if not deleting:
            body = await self._claim(key, body)
        try:
            runtime = runtimes.Runtime.model_validate(body)
        except pydantic.ValidationError as error:
            if not deleting:
                return await self._refuse(key, body, _fault(error))
            runtime = _bare(body)
        return await self._attempt(key, runtime, body, interrupted)

    def _tells(self, body: dict[str, Any]) -> bool:
        """Whether we are the only node there is: nobody else would tell that nobody runs it."""
        return self._scope.claims and not body["metadata"].get("deletionTimestamp")

    async def _claim(self, key: Key, body: dict[str, Any]) -> dict[str, Any]:
        """Set nodeName and backend where they are not set yet."""
        missing = self._scope.unset(body["spec"])
        if not missing:
            return body
        return await self._around.api.patch(kinds.RUNTIMES, key.name, key.namespace, {"spec": missing})

    async def _refuse(self, key: Key, body: dict[str, Any], message: str) -> Result:
        """Nothing is touched, and the status says why."""
        outcome = Outcome("stalled", reasons.SPEC_IMPOSSIBLE, message)
        bare = _bare(body)
        now, node = self._around.clock(), self._around.node
        report = status.Report(target=self._target(key, bare), outcome=outcome, now=now, node=node)
        writer = StatusWriter(self._around.api, key, bare.status.wire(), bare.status, self._pace, bare.metadata.uid)
        await writer.write(status.after(bare.status, report))
        return Result(outcome)

    async def _attempt(
        self, key: Key, runtime: runtimes.Runtime, body: dict[str, Any], interrupted: asyncio.Event
    ) -> Result:
        target = await self._with_rival(self._target(key, runtime), runtime)
        subject = Subject(kinds.RUNTIMES, key.name, key.namespace, target.uid)
        case = Case(
            runtime=runtime,
            target=target,
            wish=Wish(self._around.api, runtime, interrupted),
            known=self._pace.held(target.uid) or runtime.status,
            writer=StatusWriter(
                self._around.api, key, body.get("status") or {}, runtime.status, self._pace, target.uid
            ),
            notes=StepNotes(self._recorder, subject),
            watched=self._index.remember(
                target.identity, key, _parents(runtime), devices=bool(runtime.spec.serial_ports)
            ),
        )
        attempt = Attempt(self._around, case)
        outcome = await attempt.run()
        if not attempt.held_seconds:
            self._tell_transition(subject, runtime, outcome)
        return Result(outcome, acted=attempt.acted, held_seconds=attempt.held_seconds)

    def _target(self, key: Key, runtime: runtimes.Runtime) -> base.Target:
        """The Runtime as the backend needs it; a MAC address that the spec pins wins over the one it had."""
        spec = runtime.spec
        pinned = {interface.name for interface in spec.interfaces if interface.mac_address}
        return base.Target(
            identity=base.Identity(self._install_id, key.namespace, spec.device_id),
            name=key.name,
            uid=runtime.metadata.uid,
            generation=runtime.metadata.generation,
            spec=spec,
            mac_addresses={
                interface.name: interface.mac_address
                for interface in runtime.status.interfaces
                if interface.mac_address and interface.name not in pinned
            },
        )

    async def _with_rival(self, target: base.Target, runtime: runtimes.Runtime) -> base.Target:
        """The target, and who else of this node needs the interface that it is to have to itself."""
        if runtime.spec.dedicated_interface is None:
            return target
        selector = f"spec.nodeName={self._around.node}"
        bodies = await self._around.api.list(kinds.RUNTIMES, field_selector=selector)
        return dataclasses.replace(target, rival=dedication.rival(runtime, bodies))

    def _tell_transition(self, subject: Subject, runtime: runtimes.Runtime, outcome: Outcome) -> None:
        """One line and one event when the summary changed, nothing otherwise."""
        before = conditions.find(runtime.status.conditions, names.READY)
        if outcome.kind == "gone" or (before is not None and before.reason == outcome.reason):
            return
        extra = {"runtime": f"{subject.namespace}/{subject.name}"}
        log.log(
            logging.WARNING if outcome.failed else logging.INFO, "%s: %s", outcome.reason, outcome.message, extra=extra
        )
        self._recorder.record(subject, "Warning" if outcome.failed else "Normal", outcome.reason, outcome.message)


def _parents(runtime: runtimes.Runtime) -> set[str]:
    """The interfaces of the host that it needs, one of its own and what VLANs stand on too."""
    dedicated = runtime.spec.dedicated_interface
    wished = (interface.parent_interface for interface in runtime.spec.interfaces)
    return parents.with_lower(wished) | ({dedicated} if dedicated else set())


def _fault(error: pydantic.ValidationError) -> str:
    """What of an object of a newer version, or one that got round the schema, cannot be read."""
    fault = error.errors()[0]
    return f"This version cannot read {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"


def _bare(body: dict[str, Any]) -> runtimes.Runtime:
    """The Runtime as far as it can be read: its identity, which is all that a deletion needs."""
    try:
        known = RuntimeStatus.model_validate(body.get("status") or {})
    except pydantic.ValidationError:
        known = RuntimeStatus()
    return runtimes.Runtime(
        metadata=metadata.ObjectMeta.model_validate(body["metadata"]),
        spec=runtimes.RuntimeSpec.model_construct(device_id=body["spec"]["deviceId"], image=""),
        status=known,
    )


def result_of(error: errors.EdgeError) -> Result:
    """The result of a pass that ``error`` ended before its status was written."""
    return Result(outcomes.of_error(error))
