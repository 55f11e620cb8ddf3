"""Plans the next steps from the desired and the observed state, and the outcome to report when no step is left.

Pure: no I/O, no clock, no state. The rules that keep a running PLC running are here: a container is changed only for
a generation newer than the applied one, networks are repaired in place, and a running container is stopped only if the
spec says so. The reconciler runs the steps, observes and plans again until no step is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controller.api import reasons
from controller.api.runtime_status import RestartIntent
from controller.backends import base
from controller.backends.observation import Observed
from controller.runtimes import drift, preconditions
from controller.runtimes.outcome import Outcome

Operation = Literal["creating", "updating", "starting", "stopping", "restarting", "deleting"]


@dataclass(frozen=True)
class Desired:
    """The desired state of one Runtime: its target and what its status recorded.

    ``failure`` is the message of the last failed replacement. ``image_source`` is the reference that ``target.image``
    was resolved from, "" if unknown. ``in_place``: the backend can repair the interfaces on the existing container.
    """

    target: base.Target
    deleting: bool = False
    applied_generation: int | None = None
    failed_generation: int | None = None
    failure: str = ""
    image_source: str = ""
    restart: RestartIntent | None = None
    image_allowed: bool = True
    in_place: bool = True

    @property
    def spec_changed(self) -> bool:
        """Whether this generation is still to be applied: unless it is, a difference never changes a container."""
        return self.target.generation not in (self.applied_generation, self.failed_generation)

    @property
    def replacement_failed(self) -> bool:
        """Whether the replacement for this generation failed and was rolled back."""
        return self.target.generation == self.failed_generation


@dataclass(frozen=True)
class Plan:
    """``restart`` must be on disk before the first step, so that a crash does not repeat the restart."""

    outcome: Outcome
    steps: tuple[base.Step, ...] = ()
    operation: Operation | None = None
    restart: RestartIntent | None = None


def make(desired: Desired, observed: Observed) -> Plan:
    """The next steps for this Runtime; without steps, ``outcome`` is the current state."""
    if desired.deleting:
        return Plan(
            Outcome("gone", reasons.DELETED, "Container and networks are removed"),
            (base.Step.REMOVE_CONTAINER, base.Step.REMOVE_NETWORKS),
            "deleting",
        )
    if untouchable := _untouchable(desired, observed):
        return Plan(untouchable)
    if observed.renamed:
        return _acting(
            f"Renaming the container back from {observed.renamed}", base.Step.RESTORE_NAME, operation="updating"
        )
    if observed.predecessor:
        return _acting("Finishing a replacement", base.Step.FINISH_REPLACEMENT, operation="updating")
    if desired.target.spec.desired_state == "Stopped":
        return _stopped(observed)
    return _existing(desired, observed) if observed.exists else _absent(desired, observed)


def _acting(message: str, *steps: base.Step, operation: Operation, restart: RestartIntent | None = None) -> Plan:
    return Plan(Outcome("waiting", reasons.PROGRESSING, message), steps, operation, restart)


def _untouchable(desired: Desired, observed: Observed) -> Outcome | None:
    """Why no step may be taken at all; None if steps are allowed."""
    if desired.target.spec.paused:
        return Outcome("paused", reasons.PAUSED, "spec.paused is set: nothing is reconciled")
    if observed.neighbour:
        return Outcome("stalled", reasons.NAME_TAKEN, observed.neighbour)
    if observed.foreign:
        return Outcome("stalled", reasons.NAME_TAKEN, f"The name is taken by {observed.foreign}: rename or remove it")
    if observed.state == "paused":
        return Outcome("stalled", reasons.CONTAINER_PAUSED, "The container is paused: run `docker unpause`")
    if observed.state in ("dead", "removing"):
        message = f"The engine is still removing a container ({observed.state})"
        return Outcome(*(observed.blocker or ("waiting", reasons.PROGRESSING, message)))
    return None


def _stopped(observed: Observed) -> Plan:
    """Stop the container and change nothing else: other changes of the spec take effect at the next start."""
    if observed.state in ("running", "restarting", "starting"):
        return _acting("Stopping the container", base.Step.STOP_CONTAINER, operation="stopping")
    if observed.dedicated.passed_through:
        return _acting("Returning the dedicated interface to the host", base.Step.REPAIR_NETWORKS, operation="stopping")
    return Plan(Outcome("ready", reasons.STOPPED, "The container is stopped, as the spec asks"))


def _absent(desired: Desired, observed: Observed) -> Plan:
    # An image that was allowed before may be used again: the policy applies to new references only.
    new_image = desired.image_source != desired.target.spec.image_reference
    if refusal := _refusal(desired, observed, checked=new_image):
        return Plan(refusal, operation="creating" if refusal.kind == "waiting" else None)
    steps = (base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER, base.Step.START_CONTAINER)
    image = desired.target.image or desired.target.spec.image_reference
    return _acting(f"Creating the container from {image}", *steps, operation="creating", restart=_satisfied(desired))


def _refusal(desired: Desired, observed: Observed, *, checked: bool) -> Outcome | None:
    """Why the controller may not start the container now; ``checked``: the image policy applies.

    This gates only our own starts; a running container is left running.
    """
    spec = desired.target.spec
    if checked and not desired.image_allowed:
        message = f"{spec.image} is outside EDGE_IMAGE_PREFIXES: correct the image or the setting"
        return Outcome("stalled", reasons.IMAGE_NOT_ALLOWED, message)
    return preconditions.to_start(observed)


def _existing(desired: Desired, observed: Observed) -> Plan:
    change = _change(desired, observed)
    maintenance = _maintenance(desired, observed)
    if change and (refusal := _refusal(desired, observed, checked=True)):
        return Plan(refusal, maintenance, "updating")
    if change == "resolve":
        message = f"Resolving the image {desired.target.spec.image_reference}"
        return _acting(message, *maintenance, base.Step.RESOLVE_IMAGE, operation="updating")
    if change == "replace":
        return _replacing(desired)
    if observed.state in ("created", "exited"):
        return _start(desired, observed)
    return _running(desired, observed, maintenance)


def _change(desired: Desired, observed: Observed) -> Literal["resolve", "replace"] | None:
    """Whether the changed spec requires resolving the image or replacing the container."""
    target, made_from = desired.target, observed.made_from
    if not desired.spec_changed:
        return None
    if _unreadable(desired, observed):
        return None
    if desired.image_source != target.spec.image_reference:
        return "resolve"
    if made_from is None or _image_differs(target, observed):
        return "replace"
    if drift.needs_new_container(target.spec, made_from):
        return "replace"
    rewired = target.spec.interfaces != made_from.interfaces and drift.network_drift(target.spec, observed)
    return "replace" if rewired and not desired.in_place else None


def _unreadable(desired: Desired, observed: Observed) -> bool:
    """Whether it was adopted without a readable spec: such a container is not changed until the spec changes."""
    return observed.made_from is None and desired.applied_generation is None


def _image_differs(target: base.Target, observed: Observed) -> bool:
    """Whether both reference and pin differ: two references to one image, or two forms of one pin, are equal."""
    return observed.image.source != target.spec.image_reference and observed.image.pin != target.image


def _start(desired: Desired, observed: Observed) -> Plan:
    if refusal := _refusal(desired, observed, checked=False):
        return Plan(refusal, operation="starting" if refusal.kind == "waiting" else None)
    if _due_for_replacement(desired, observed):
        return _replacing(desired)
    network_drift = drift.network_drift(desired.target.spec, observed)
    steps = (
        *([base.Step.REPAIR_NETWORKS] if network_drift else []),
        *_new_limits(desired, observed),
        base.Step.START_CONTAINER,
    )
    return _acting("Starting the container", *steps, operation="starting", restart=_satisfied(desired))


def _running(desired: Desired, observed: Observed, maintenance: tuple[base.Step, ...]) -> Plan:
    intent = _restart_asked(desired, observed)
    if intent and observed.started_at and intent.previous_started_at == observed.started_at:
        if refusal := _refusal(desired, observed, checked=False):
            return Plan(refusal, maintenance, "restarting")
        if _due_for_replacement(desired, observed):
            return _replacing(desired)
        return _acting("Restarting the container", base.Step.RESTART_CONTAINER, operation="restarting", restart=intent)
    if maintenance:
        return Plan(_current_outcome(desired, observed), maintenance, "updating", intent)
    return Plan(_current_outcome(desired, observed), (), "starting" if observed.state == "starting" else None, intent)


def _replacing(desired: Desired) -> Plan:
    restart = _satisfied(desired)
    return _acting("Replacing the container", base.Step.REPLACE_CONTAINER, operation="updating", restart=restart)


def _due_for_replacement(desired: Desired, observed: Observed) -> bool:
    """Whether a start that is due anyway should use a new container, because the old one may not open a serial port.

    A running container is never replaced for this: serial ports are documented to change in place.
    """
    return drift.needs_rights(observed) and not desired.replacement_failed


def _maintenance(desired: Desired, observed: Observed) -> tuple[base.Step, ...]:
    """Repairs on a running container that need no restart."""
    if not observed.running:
        return (base.Step.REPAIR_NETWORKS,) if observed.dedicated.passed_through else ()
    found = drift.network_drift(desired.target.spec, observed)
    repair = (base.Step.REPAIR_NETWORKS,) if drift.repairable(found) else ()
    attach = (base.Step.ATTACH_DEVICES,) if drift.repairable(drift.device_drift(observed)) else ()
    pin = (base.Step.PIN_IMAGE,) if observed.image.unpinned else ()
    return (*repair, *attach, *pin, *_new_limits(desired, observed))


def _new_limits(desired: Desired, observed: Observed) -> tuple[base.Step, ...]:
    if not desired.spec_changed or _unreadable(desired, observed):
        return ()
    desired_resources = desired.target.spec.resources
    return (base.Step.UPDATE_RESOURCES,) if drift.resources_differ(desired_resources, observed.limits) else ()


def _restart_asked(desired: Desired, observed: Observed) -> RestartIntent | None:
    """The restart that ``spec.restartedAt`` requests, with the start time it replaces; "" if no restart is needed."""
    token = desired.target.spec.restarted_at
    if token is None or (desired.restart and desired.restart.token == token):
        return desired.restart
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
        return Outcome("stalled", reasons.REPLACE_FAILED, desired.failure or message)
    if blocker := preconditions.to_run_as_asked(desired.target.spec, observed):
        return blocker
    if observed.health == "unhealthy":
        return Outcome("waiting", reasons.UNHEALTHY, "The image's health check fails")
    return Outcome("ready", reasons.RUNNING, "The container runs as the spec asks")
