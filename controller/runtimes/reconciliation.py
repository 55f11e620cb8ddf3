"""One pass over one Runtime: observe, plan, run the steps, observe again, until no step is left or one fails.

It decides nothing (plan) and words nothing (status); it keeps what the pass has found, asks between the steps whether
the wish is still the same, and writes a status on every path.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from controller import errors, names
from controller.api import reasons, runtimes
from controller.api.runtime_status import RestartIntent, RuntimeStatus
from controller.backends import base
from controller.backends.protocol import Reconcilable
from controller.boottime import Boot
from controller.machinery import conditions
from controller.machinery.client import ApiClient
from controller.runtimes import drift, image_policy, plan, pull_secrets, secret_env, status
from controller.runtimes.generation_guard import GenerationGuard, Superseded
from controller.runtimes.outcome import Outcome, of_error
from controller.runtimes.restart_attribution import RestartAttribution, last_command
from controller.runtimes.restart_context import EngineContact, RestartContext
from controller.runtimes.status_writer import StatusWriter
from controller.runtimes.steps import StepNotes

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0


@dataclass(frozen=True)
class ReconcilerDependencies:
    """What every pass needs of its controller. ``image_prefixes`` empty: every image is allowed."""

    api: ApiClient
    backend: Reconcilable
    node: str
    image_prefixes: tuple[str, ...]
    clock: Callable[[], float]
    boot: Boot
    engine: EngineContact


@dataclass(frozen=True)
class ReconcileContext:
    """The Runtime that a pass is about; ``known`` is its status, with what was not written yet.

    ``watched``: this process has observed its container before. ``outdated``: the API does not answer and this is the
    Runtime as it was last read, so that only repairs are made.
    """

    runtime: runtimes.Runtime
    known: RuntimeStatus
    target: base.Target
    guard: GenerationGuard
    writer: StatusWriter
    notes: StepNotes
    watched: bool
    outdated: bool = False


class Reconciliation:
    """One pass; ``acted`` tells whether it began a step, ``held_seconds`` when its status may be written."""

    def __init__(self, around: ReconcilerDependencies, case: ReconcileContext) -> None:
        self._around = around
        self._case = case
        self._target = case.target
        self._image_allowed = image_policy.allows(around.image_prefixes, case.target.spec)
        self._previous = case.known
        self._observed: base.Observed | None = None
        self._knows_container = case.known.container_id is not None
        self._image = self._previous.image
        self._image_source = self._previous.image_source or ""
        self._restart: RestartIntent | None = None
        self._operation: plan.Operation | None = None
        self._attribution = RestartAttribution(case.runtime)
        self.acted = False
        self.held_seconds = 0.0
        self._reported_at = float("-inf")

    async def run(self) -> Outcome:
        """Do it. Raises Superseded, and errors.ApiError when the status could not be written."""
        try:
            outcome = await self._converge()
        except Superseded:
            raise
        except Exception as error:
            if not isinstance(error, errors.EdgeError):
                log.exception("A pass failed", extra=self._case.notes.extra)
            outcome = of_error(error)
            await self._look_again(outcome)
        self.held_seconds = await self._case.writer.write_paced(status.after(self._previous, self._report(outcome)))
        return outcome

    @property
    def observed(self) -> bool:
        """Whether the status that this pass reports comes from a look at the container."""
        return self._observed is not None

    async def _converge(self) -> Outcome:
        done: set[tuple[tuple[base.Step, ...], str]] = set()
        while True:
            current = await self._plan()
            self._restart = current.restart or self._restart
            self._operation = current.operation or self._operation
            if not current.steps:
                return current.outcome
            # The same steps for another disorder are progress: a link that was made gets the address that came since.
            trial = current.steps, drift.summary(self._target.spec, self._observed) if self._observed else ""
            if trial in done:
                return _ineffective(current)
            done.add(trial)
            await self._execute(current)

    async def _plan(self) -> plan.Plan:
        if self._deleting:
            return plan.make(self._desired(base.Observed()), base.Observed())
        self._observed = observed = await self._around.backend.observe(self._target)
        self._adopt(observed)
        return plan.make(self._desired(observed), observed)

    @property
    def _deleting(self) -> bool:
        return self._case.runtime.metadata.deletion_timestamp is not None

    def _adopt(self, observed: base.Observed) -> None:
        """Without a pin of the status or of this pass, the container's own counts."""
        if observed.exists and observed.uid != self._target.uid and not self._knows_container:
            self._knows_container = True
            self._case.notes.adopted()
        if not self._image and observed.exists:
            self._image = observed.image
            self._image_source = observed.image_source
            if not self._image_source and observed.made_from:
                self._image_source = observed.made_from.image_reference
        current = self._image_source == self._target.spec.image_reference
        self._target = replace(self._target, image=self._image if current else None)

    def _desired(self, observed: base.Observed) -> plan.Desired:
        return plan.Desired(
            target=self._target,
            deleting=self._deleting,
            applied_generation=self._previous.applied_generation,
            failed_generation=self._previous.failed_generation,
            failure=_reported_failure(self._case.runtime.status),
            image_source=self._image_source,
            restart=self._restart or self._previous.restart,
            image_allowed=self._image_allowed,
            in_place=self._around.backend.changes_in_place(self._target, observed),
        )

    async def _execute(self, current: plan.Plan) -> None:
        """Say what is about to be done, on disk, then do it; what a crash loop needs each time is not told."""
        if self._around.backend.needs_secrets:
            self._target = await secret_env.provide(self._around.api, current.steps, self._target)
        unrecorded: errors.ApiError | None = None
        if not (self._case.writer.throttled and current.steps == (base.Step.REPAIR_NETWORKS,)):
            unrecorded = await self._record(current)
        for step in current.steps:
            if unrecorded and not self._needs_no_record(step, current):
                raise unrecorded
            await self._case.guard.check()
            self.acted = True
            self._attribution.begin(step, self._observed or base.Observed(), self._around.clock())
            await self._step(step)

    async def _record(self, current: plan.Plan) -> errors.ApiError | None:
        """Write what is about to be done; why that is impossible now, if so. Raises errors.NotFoundError."""
        self._previous = status.under_way(self._previous, self._report(_acting(current)))
        try:
            await self._case.writer.write(self._previous)
        except errors.NotFoundError:
            raise
        except errors.ApiError as error:
            return error
        return None

    def _needs_no_record(self, step: base.Step, current: plan.Plan) -> bool:
        """Whether nothing is lost when the controller ends before the status tells of the step.

        A start that is also the restart asked for does need one: another process would restart the program again.
        """
        written = self._case.runtime.status.restart
        known = current.restart is None or (written is not None and written.token == current.restart.token)
        counts = step is base.Step.START_CONTAINER and not known
        return step.repair if self._case.outdated else step.repeatable and not counts

    async def _step(self, step: base.Step) -> None:
        if step is base.Step.RESOLVE_IMAGE:
            self._target = await self._resolve()
            self._image, self._image_source = self._target.image, self._target.spec.image_reference
        else:
            made = await self._around.backend.execute(step, self._target, self._progress)
            self._target = replace(made, secret_env={})
        if not _is_deleted(self._case.known):
            self._case.notes.done(step)

    async def _resolve(self) -> base.Target:
        """The one step that may take minutes and leaves nothing behind: abandoned when the wish changes."""
        references = self._target.spec.image_pull_secrets if self._around.backend.needs_secrets else ()
        credentials = await pull_secrets.read(self._around.api, self._target.identity.namespace, references)
        target = replace(self._target, pull_credentials=credentials)
        pulled = self._around.backend.execute(base.Step.RESOLVE_IMAGE, target, self._progress)
        resolved = await self._case.guard.unless_changed(pulled)
        return replace(resolved, pull_credentials=())

    async def _progress(self, reason: str, message: str) -> None:
        """Write how a long step goes, at most once a second; an API that is away for a moment ends no pull."""
        now = self._around.boot.elapsed()
        if now - self._reported_at < PROGRESS_SECONDS:
            return
        self._reported_at = now
        outcome = Outcome("waiting", reason, message)
        self._previous = status.under_way(self._previous, self._report(outcome))
        with suppress(errors.ApiUnavailableError):
            await self._case.writer.write(self._previous)

    async def _look_again(self, outcome: Outcome) -> None:
        """After a failure the world may have changed half-way: the status tells what is, as far as it can be seen."""
        if outcome.reason == reasons.DAEMON_UNREACHABLE:
            self._observed = None
        elif not self._deleting:
            with suppress(errors.EdgeError):
                self._observed = await self._around.backend.observe(self._target)

    def _report(self, outcome: Outcome) -> status.Report:
        around, now = self._around, self._around.clock()
        return status.Report(
            target=replace(self._target, image=self._image),
            outcome=outcome,
            now=now,
            node=self._target.spec.node_name or around.node,
            observed=self._observed,
            image_allowed=self._image_allowed,
            image_source=self._image_source,
            operation=self._operation,
            restart=self._restart,
            around=self._circumstances(now),
            last_command=last_command(self._case.runtime),
        )

    def _circumstances(self, now: float) -> RestartContext:
        around, attribution = self._around, self._attribution
        return RestartContext(
            now=now,
            own=attribution.why,
            acted_at=attribution.began_at,
            request=attribution.request,
            stop_requested=self._target.spec.desired_state == "Stopped",
            found_stopped=attribution.found_stopped,
            boot_id=around.boot.id,
            elapsed=around.boot.elapsed(),
            engine_absence=around.engine.absence,
            watched=self._case.watched,
            adopted=self._observed is not None and self._observed.uid != self._target.uid,
        )


def _is_deleted(current_status: RuntimeStatus) -> bool:
    """Whether a pass before this one removed everything: until the finalizer goes, it is only made sure of."""
    ready = conditions.find(current_status.conditions, names.READY)
    return ready is not None and ready.reason == reasons.DELETED


def _reported_failure(current_status: RuntimeStatus) -> str:
    """Why the replacement failed, as the status has told since."""
    stalled = conditions.find(current_status.conditions, names.STALLED)
    return stalled.message if stalled and stalled.reason == reasons.REPLACE_FAILED else ""


def _acting(current: plan.Plan) -> Outcome:
    """What the status says while the steps of a plan run."""
    if current.outcome.kind == "waiting":
        return current.outcome
    if current.outcome.kind == "gone":
        return Outcome("waiting", reasons.DELETING, "Removing the container and its networks")
    return Outcome("waiting", reasons.PROGRESSING, "Changing the running container")


def _ineffective(current: plan.Plan) -> Outcome:
    """Steps that were made once in this pass and are wanted again did not help."""
    if current.outcome.kind == "gone" or current.outcome.failed:
        return current.outcome
    if current.outcome.kind == "waiting" and current.outcome.reason != reasons.PROGRESSING:
        return current.outcome
    return Outcome("retry", reasons.STEP_FAILED, "The last step had no effect and is tried again")
