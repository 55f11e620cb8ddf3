"""Plans the next steps from the desired and the observed state, and the outcome to report when no step is left.

Pure: no I/O, no clock, no state. The rules that keep a running PLC running are here: a container is changed only for
a generation newer than the applied one, facets are repaired in place, and a running container is stopped only if the
spec says so. The reconciler runs the steps, observes and plans again until no step is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from controller.api import reasons
from controller.api.runtime_status import CREATED, STOPPED, RestartIntent, RuntimeStatus
from controller.api.runtimes import Runtime
from controller.backends.base import Step
from controller.backends.observation import Observed
from controller.runtimes import preconditions
from controller.runtimes.desired import Desired
from controller.runtimes.facets.facet import Release
from controller.runtimes.facets.table import FACETS
from controller.runtimes.outcome import OperationName, Outcome, of_reason

_NOT_RUNNING = (None, CREATED, STOPPED)


@dataclass(frozen=True)
class Plan:
    """``restart`` must be on disk before the first step, so that a crash does not repeat the restart."""

    outcome: Outcome
    steps: tuple[Step, ...] = ()
    operation: OperationName | None = None
    restart: RestartIntent | None = None

    @property
    def under_way(self) -> Outcome:
        """The outcome to report while the steps run."""
        if self.outcome.kind == "waiting":
            return self.outcome
        if self.outcome.kind == "gone":
            return of_reason(reasons.DELETING, "Removing the container and its networks")
        return of_reason(reasons.PROGRESSING, "Changing the running container")

    @property
    def ineffective(self) -> Outcome:
        """The outcome if the steps were run already in the same situation: they had no effect."""
        is_progress = self.outcome.reason == reasons.PROGRESSING
        if self.outcome.kind == "gone" or self.outcome.failed or (self.outcome.kind == "waiting" and not is_progress):
            return self.outcome
        return of_reason(reasons.STEP_FAILED, "The last step had no effect and is retried")

    def waits_for_record(self, step: Step, recorded: RestartIntent | None) -> bool:
        """Whether a crash would do harm while the status lacks the step; ``recorded`` is the restart that it has.

        A start that also satisfies spec.restartedAt waits, too: another process would restart the program again.
        """
        if step is Step.START_CONTAINER and self.restart is not None:
            return recorded is None or recorded.token != self.restart.token
        return not step.repeatable


def is_start_likely(runtime: Runtime, known: RuntimeStatus) -> bool:
    """Whether a start is likely, before the container is observed: the spec is new, and the last status not running.

    Not for a spec that was reconciled before: what prevents its start may do so for days.
    """
    spec, metadata = runtime.spec, runtime.metadata
    starts = spec.desired_state == "Running" and not spec.paused and metadata.deletion_timestamp is None
    return starts and known.state in _NOT_RUNNING and known.observed_generation != metadata.generation


def make(desired: Desired, observed: Observed) -> Plan:
    """The next steps for this Runtime; without steps, ``outcome`` is the current state."""
    # First: neither spec.paused nor a foreign container may hold up a deletion.
    if desired.deleting:
        return Plan(
            Outcome("gone", reasons.DELETED, "Container and networks are removed"),
            (Step.REMOVE_CONTAINER, Step.REMOVE_NETWORKS),
            "deleting",
        )
    if untouchable := _untouchable(desired, observed):
        return Plan(untouchable)
    if observed.renamed:
        return _acting(f"Renaming the container back from {observed.renamed}", Step.RESTORE_NAME, operation="updating")
    # Also if it is to be stopped: this step leaves one container and starts none then.
    if observed.predecessor:
        return _acting("Finishing a replacement", Step.FINISH_REPLACEMENT, operation="updating")
    if desired.target.spec.desired_state == "Stopped":
        return _stopped(observed)
    return _existing(desired, observed) if observed.exists else _absent(desired, observed)


def _acting(message: str, *steps: Step, operation: OperationName, restart: RestartIntent | None = None) -> Plan:
    return Plan(of_reason(reasons.PROGRESSING, message), steps, operation, restart)


def _untouchable(desired: Desired, observed: Observed) -> Outcome | None:
    """Why no step may be taken at all; None if steps are allowed."""
    if desired.target.spec.paused:
        return Outcome("paused", reasons.PAUSED, "spec.paused is set: nothing is reconciled")
    if observed.neighbour:
        return of_reason(reasons.NAME_TAKEN, observed.neighbour)
    if observed.foreign:
        return of_reason(reasons.NAME_TAKEN, f"The name is taken by {observed.foreign}: rename or remove it")
    if observed.state == "paused":
        return of_reason(reasons.CONTAINER_PAUSED, "The container is paused: run `docker unpause`")
    if observed.state in ("dead", "removing"):
        message = f"The engine is still removing a container ({observed.state})"
        return of_reason(*(observed.blocker or (reasons.PROGRESSING, message)))
    return None


def _stopped(observed: Observed) -> Plan:
    """Stop the container and change nothing else: other changes of the spec take effect at the next start."""
    if observed.state in ("running", "restarting", "starting"):
        return _acting("Stopping the container", Step.STOP_CONTAINER, operation="stopping")
    if releases := _releases(observed):
        return _acting(releases[0].message, *(release.step for release in releases), operation="stopping")
    return Plan(Outcome("ready", reasons.STOPPED, "The container is stopped, as the spec asks"))


def _absent(desired: Desired, observed: Observed) -> Plan:
    # An image that was allowed before may be used again: the policy applies to new references only.
    new_image = desired.image_source != desired.target.spec.image_reference
    if refusal := _refusal(desired, observed, checked=new_image):
        return Plan(refusal, operation="creating" if refusal.kind == "waiting" else None)
    steps = (Step.RESOLVE_IMAGE, Step.CREATE_CONTAINER, Step.START_CONTAINER)
    image = desired.target.image or desired.target.spec.image_reference
    return _acting(f"Creating the container from {image}", *steps, operation="creating", restart=_satisfied(desired))


def _refusal(desired: Desired, observed: Observed, *, checked: bool) -> Outcome | None:
    """Why the controller may not start the container now; ``checked``: the settings apply.

    This gates only our own starts; a running container is left running.
    """
    return (preconditions.to_apply(desired) if checked else None) or preconditions.to_start(observed)


def _existing(desired: Desired, observed: Observed) -> Plan:
    change = _change(desired, observed)
    maintenance = _maintenance(desired, observed)
    # A change that has to wait blocks no repair: a missing image must not keep a PLC off its LAN.
    if change and (refusal := _refusal(desired, observed, checked=True)):
        return Plan(refusal, maintenance, "updating")
    if change == "resolve":
        message = f"Resolving the image {desired.target.spec.image_reference}"
        return _acting(message, *maintenance, Step.RESOLVE_IMAGE, operation="updating")
    if change == "replace":
        return _replacing(desired)
    if observed.state in ("created", "exited"):
        return _start(desired, observed)
    return _running(desired, observed, maintenance)


def _change(desired: Desired, observed: Observed) -> Literal["resolve", "replace"] | None:
    """Whether the changed spec requires resolving the image or replacing the container."""
    target, made_from = desired.target, observed.made_from
    if not desired.spec_changed or desired.is_unreadable(observed):
        return None
    # By reference, not by image: a tag that was moved in the registry must change nothing.
    if desired.image_source != target.spec.image_reference:
        return "resolve"
    if made_from is None or any(facet.replaces(desired, observed, made_from) for facet in FACETS):
        return "replace"
    return None


def _start(desired: Desired, observed: Observed) -> Plan:
    if refusal := _refusal(desired, observed, checked=False):
        return Plan(refusal, operation="starting" if refusal.kind == "waiting" else None)
    if _due_for_replacement(desired, observed):
        return _replacing(desired)
    preparation = _distinct(step for facet in FACETS for step in facet.preparation(desired, observed))
    steps = (*preparation, Step.START_CONTAINER)
    return _acting("Starting the container", *steps, operation="starting", restart=_satisfied(desired))


def _running(desired: Desired, observed: Observed, maintenance: tuple[Step, ...]) -> Plan:
    intent = _restart_asked(desired, observed)
    # Only the run of the time of the request is restarted: any later start has satisfied it.
    if intent and observed.started_at and intent.previous_started_at == observed.started_at:
        if refusal := _refusal(desired, observed, checked=False):
            return Plan(refusal, maintenance, "restarting")
        if _due_for_replacement(desired, observed):
            return _replacing(desired)
        return _acting("Restarting the container", Step.RESTART_CONTAINER, operation="restarting", restart=intent)
    if maintenance:
        return Plan(_current_outcome(desired, observed), maintenance, "updating", intent)
    return Plan(_current_outcome(desired, observed), (), "starting" if observed.state == "starting" else None, intent)


def _replacing(desired: Desired) -> Plan:
    restart = _satisfied(desired)
    return _acting("Replacing the container", Step.REPLACE_CONTAINER, operation="updating", restart=restart)


def _due_for_replacement(desired: Desired, observed: Observed) -> bool:
    """Whether a start that is due anyway should use a new container; a running one is never replaced for this."""
    return not desired.replacement_failed and any(facet.expires(observed) for facet in FACETS)


def _maintenance(desired: Desired, observed: Observed) -> tuple[Step, ...]:
    """Repairs that need no restart; of a container that does not run, only what it must give back."""
    if not observed.running:
        return _distinct(release.step for release in _releases(observed))
    return _distinct(step for facet in FACETS for step in facet.repair(desired, observed))


def _releases(observed: Observed) -> list[Release]:
    return [release for facet in FACETS if (release := facet.release(observed))]


def _distinct(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps in their order, each once: facets may share one."""
    return tuple(dict.fromkeys(steps))


def _restart_asked(desired: Desired, observed: Observed) -> RestartIntent | None:
    """The restart that ``spec.restartedAt`` requests, with the start time it replaces; "" if no restart is needed."""
    token = desired.target.spec.restarted_at
    if token is None or (desired.restart and desired.restart.token == token):
        return desired.restart
    # A container created for this request, or one adopted from an earlier object, has nothing to catch up on.
    made_with_token = observed.made_from is not None and observed.made_from.restarted_at == token
    adopted = desired.applied_generation is None and observed.uid != desired.target.uid
    satisfied = made_with_token or adopted
    return RestartIntent(token=token, previous_started_at="" if satisfied else observed.started_at)


def _satisfied(desired: Desired) -> RestartIntent | None:
    """Record that the coming start also satisfies ``spec.restartedAt``."""
    token = desired.target.spec.restarted_at
    return RestartIntent(token=token) if token else None


def _current_outcome(desired: Desired, observed: Observed) -> Outcome:
    """The state of an existing container that no step can change now."""
    if desired.replacement_failed:
        message = "The new container did not run, so the old one was started again: correct the spec"
        return of_reason(reasons.REPLACE_FAILED, desired.failure or message)
    if blocker := preconditions.to_run_as_asked(desired.target.spec, observed):
        return blocker
    # Reported only: a program that fails its health check may well be running its plant.
    if observed.health == "unhealthy":
        return Outcome("waiting", reasons.UNHEALTHY, "The image's health check fails")
    return Outcome("ready", reasons.RUNNING, "The container runs as the spec asks")
