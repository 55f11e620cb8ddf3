"""One pass over one Runtime: observe, plan and run steps until no step is left or one fails.

The plan decides and ``status`` composes the report; this keeps the state of the pass, checks the generation between
steps, and writes a status on every path.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace

from controller import errors
from controller.api import reasons
from controller.api.runtime_status import RestartIntent, RuntimeStatus
from controller.backends import base
from controller.backends.observation import Observed
from controller.machinery import supervisor
from controller.runtimes import drift, plan, secrets, status
from controller.runtimes.desired import Desired
from controller.runtimes.facets import image
from controller.runtimes.generation_guard import Superseded
from controller.runtimes.outcome import OperationName, Outcome, Report, of_error
from controller.runtimes.reconcile_context import ReconcileContext, ReconcilerDependencies
from controller.runtimes.restart_attribution import RestartAttribution, last_command
from controller.runtimes.restart_context import RestartContext

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0


class Reconciliation:
    """One pass. ``acted``: a step began to change something; ``held_seconds``: time until its status may be written.

    ``observed_at``: the loop time at which the last observation began. ``seen_at``: the time since boot at which the
    last one that succeeded began. Both are 0 without one.
    """

    def __init__(self, dependencies: ReconcilerDependencies, context: ReconcileContext) -> None:
        self._dependencies = dependencies
        self._context = context
        self._target = context.target
        self._image_allowed = image.allows(dependencies.image_prefixes, context.target.spec)
        self._previous = context.known
        self._observed: Observed | None = None
        self._knows_container = context.known.container_id is not None
        self._image = self._previous.image
        self._image_source = self._previous.image_source or ""
        self._restart: RestartIntent | None = None
        self._operation: OperationName | None = None
        self._attribution = RestartAttribution(context.runtime)
        self.acted = False
        self.held_seconds = 0.0
        self.observed_at = 0.0
        self.seen_at = 0.0
        self._reported_at = float("-inf")
        self._recording: asyncio.Task[errors.ApiError | None] | None = None

    async def run(self) -> Outcome:
        """Run the pass. Raises Superseded, and errors.ApiError when the status cannot be written."""
        try:
            outcome = await self._converge()
            if outcome.kind == "ready":
                outcome = self._context.instead_of_ready or outcome
        # Without a status: the next pass reports about the new spec.
        except Superseded:
            raise
        except Exception as error:
            if not isinstance(error, errors.EdgeError):
                log.exception("Reconciliation failed", extra=self._context.recorder.extra)
            outcome = of_error(error)
            await self._observe_failure(outcome)
        self.held_seconds = await self._context.writer.write_paced(status.after(self._previous, self._report(outcome)))
        return outcome

    async def finds_nothing_to_do(self) -> bool:
        """Whether the pass would end ready, without a step and without a change of the status. Does not act.

        Looks for no predecessor: the caller finds those of all Runtimes with one request.
        """
        observed = await self._observe(predecessor=False)
        current = plan.make(self._desired(observed), observed)
        if current.steps or current.outcome.kind != "ready":
            return False
        return status.after(self._previous, self._report(current.outcome)) == self._previous

    @property
    def observed(self) -> bool:
        """Whether this pass has observed the container."""
        return self._observed is not None

    async def _converge(self) -> Outcome:
        if not self._context.outdated and plan.is_start_likely(self._context.runtime, self._previous):
            # Before the observation, which takes a moment: what a start waits for takes longest.
            self._dependencies.backend.expect((base.Step.START_CONTAINER,), self._target)
        done: set[tuple[tuple[base.Step, ...], str]] = set()
        steps: tuple[base.Step, ...] = ()
        while True:  # until no step is left, or the same ones are planned again
            observed = await self._observe(predecessor=self._may_have_predecessor(steps))
            current = plan.make(self._desired(observed), observed)
            self._restart = current.restart or self._restart
            self._operation = current.operation or self._operation
            if not current.steps:
                return current.outcome
            # The same steps for another drift are progress: a new link gets the address that arrived since.
            steps = current.steps
            trial = steps, drift.summary(self._target.spec, self._observed) if self._observed else ""
            if trial in done:
                return current.ineffective
            done.add(trial)
            await self._execute(current)

    def _may_have_predecessor(self, steps: tuple[base.Step, ...]) -> bool:
        """Whether there may be a predecessor after these steps: where none was, only a replacement leaves one."""
        return self._observed is None or bool(self._observed.predecessor) or base.Step.REPLACE_CONTAINER in steps

    async def _observe(self, *, predecessor: bool = True) -> Observed:
        """The state to plan from; a deletion needs none."""
        if self._deleting:
            return Observed()
        self.observed_at = asyncio.get_running_loop().time()
        began = self._dependencies.boot.elapsed()
        observing = self._dependencies.backend.observe(self._target, predecessor=predecessor)
        observed = await self._context.turns.outside(observing)
        self._observed, self.seen_at = observed, began
        self._adopt(observed)
        return observed

    @property
    def _deleting(self) -> bool:
        return self._context.runtime.metadata.deletion_timestamp is not None

    def _adopt(self, observed: Observed) -> None:
        """Record an adoption; without an image pin in the status or from this pass, use the container's."""
        if observed.exists and observed.uid != self._target.uid and not self._knows_container:
            self._knows_container = True
            self._context.recorder.adopted()
        if not self._image and observed.exists:
            self._image = observed.image.pin
            self._image_source = observed.image.source
            if not self._image_source and observed.made_from:
                self._image_source = observed.made_from.image_reference
        current = self._image_source == self._target.spec.image_reference
        self._target = replace(self._target, image=self._image if current else None)

    def _desired(self, observed: Observed) -> Desired:
        return Desired(
            target=self._target,
            deleting=self._deleting,
            applied_generation=self._previous.applied_generation,
            failed_generation=self._previous.failed_generation,
            failure=status.reported_failure(self._context.runtime.status),
            image_source=self._image_source,
            restart=self._restart or self._previous.restart,
            image_allowed=self._image_allowed,
            in_place=self._dependencies.backend.changes_in_place(self._target, observed),
        )

    async def _execute(self, current: plan.Plan) -> None:
        """Run the coming steps. Those that need it wait until the status records all of them."""
        if self._dependencies.backend.needs_secrets:
            self._target = await secrets.with_secret_env(self._dependencies.api, current.steps, self._target)
        # Before the record, so that what the steps wait for begins beside it.
        self._dependencies.backend.expect(current.steps, self._target)
        async with supervisor.beside(self._context.writer.attempt(self._under_way(current))) as self._recording:
            for step in current.steps:
                # For each step, not for all: repairs come first and must not wait for the record of a replacement.
                if not self._may_precede_record(step, current):
                    await self._recorded()
                await self._context.guard.check()
                self.acted |= step is not base.Step.RESOLVE_IMAGE  # which acts once it reports progress
                self._attribution.begin(step, self._observed or Observed(), self._dependencies.clock())
                await self._step(step)
        if isinstance(refusal := self._recording.result(), errors.NotFoundError):
            raise refusal

    def _under_way(self, current: plan.Plan) -> RuntimeStatus | None:
        """The status that records the steps; None for repairs in a crash loop, which are not written each time."""
        if self._context.writer.throttled and current.steps == (base.Step.REPAIR_NETWORKS,):
            return None
        self._previous = status.under_way(self._previous, self._report(current.under_way))
        return self._previous

    async def _recorded(self) -> None:
        """Wait for the record of the steps that are under way. Raises errors.ApiError if it cannot be written."""
        # Shielded: what is cancelled is a pull, and the record is the whole pass's.
        if self._recording and (unrecorded := await asyncio.shield(self._recording)):
            raise unrecorded

    def _may_precede_record(self, step: base.Step, current: plan.Plan) -> bool:
        if self._context.outdated:
            return step.repair
        # What the API has, not what is kept here: another process knows nothing else.
        return not current.waits_for_record(step, self._context.runtime.status.restart)

    async def _step(self, step: base.Step) -> None:
        if step is base.Step.RESOLVE_IMAGE:
            self._target = await self._resolve()
            self._image, self._image_source = self._target.image, self._target.spec.image_reference
        else:
            executing = self._dependencies.backend.execute(step, self._target, self._progress)
            made = await self._context.turns.outside(executing)
            # The values are in memory only for the step that needs them.
            self._target = replace(made, secret_env={})
        if not status.is_deleted(self._context.known):
            self._context.recorder.done(step)

    async def _resolve(self) -> base.Target:
        """Resolve the image. It may take minutes and has no side effects, so a new generation cancels it."""
        references = self._target.spec.image_pull_secrets if self._dependencies.backend.needs_secrets else ()
        credentials = await secrets.pull_credentials(
            self._dependencies.api, self._target.identity.namespace, references
        )
        target = replace(self._target, pull_credentials=credentials)
        pulled = self._dependencies.backend.execute(base.Step.RESOLVE_IMAGE, target, self._progress)
        resolved = await self._context.turns.outside(self._context.guard.unless_changed(pulled))
        return replace(resolved, pull_credentials=())

    async def _progress(self, reason: str, message: str) -> None:
        """Write the progress of a long step, at most once a second; an unavailable API does not end a pull.

        A step that reports progress goes on only once its record is written: a pull may take minutes.
        """
        await self._recorded()
        self.acted = True
        now = self._dependencies.boot.elapsed()
        if now - self._reported_at < PROGRESS_SECONDS:
            return
        self._reported_at = now
        outcome = Outcome("waiting", reason, message)
        self._previous = status.under_way(self._previous, self._report(outcome))
        # Not other errors: a Runtime that is gone (404) needs no image.
        with suppress(errors.ApiUnavailableError):
            await self._context.writer.write(self._previous)

    async def _observe_failure(self, outcome: Outcome) -> None:
        """Observe again after a failure, for a step may have changed something before it failed."""
        # What was observed before the outage may no longer hold, so Ready becomes Unknown.
        if outcome.reason == reasons.DAEMON_UNREACHABLE:
            self._observed = None
        elif not self._deleting:
            with suppress(errors.EdgeError):
                self._observed = await self._context.turns.outside(self._dependencies.backend.observe(self._target))

    def _report(self, outcome: Outcome) -> Report:
        now = self._dependencies.clock()
        return Report(
            target=replace(self._target, image=self._image),
            outcome=outcome,
            now=now,
            node=self._target.spec.node_name or self._dependencies.node,
            observed=self._observed,
            image_allowed=self._image_allowed,
            image_source=self._image_source,
            operation=self._operation,
            restart=self._restart,
            restart_context=self._restart_context(now),
            last_command=last_command(self._context.runtime),
        )

    def _restart_context(self, now: float) -> RestartContext:
        dependencies, attribution = self._dependencies, self._attribution
        return RestartContext(
            now=now,
            own=attribution.why,
            acted_at=attribution.began_at,
            request=attribution.request,
            stop_requested=self._target.spec.desired_state == "Stopped",
            found_stopped=attribution.found_stopped,
            boot_id=dependencies.boot.id,
            elapsed=dependencies.boot.elapsed(),
            engine_absence=dependencies.engine.absence,
            seen_at=self._context.seen_at,
            adopted=self._observed is not None and self._observed.uid != self._target.uid,
        )
