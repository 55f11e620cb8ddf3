"""What the reconciler gives to backends: targets and steps. What they observe is in observation.py.

A backend makes no decisions: the plan (runtimes/plan.py) turns the desired and the observed state into steps.
Every step is idempotent: running it twice, or again after a crash half-way, ends in the same state.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import pydantic

from controller import errors, names
from controller.api import reasons, runtimes


class Identity(NamedTuple):
    """Identifies a runtime by its key, not its uid: the cloud upgrades a runtime by deleting and creating it."""

    install_id: str
    namespace: str
    device_id: str


class Contact(Enum):
    """State of the backend's event stream. Events may have been missed whenever it changes."""

    CONNECTED = "connected"
    LOST = "lost"


@dataclass(frozen=True)
class Target:
    """The input of a backend for one Runtime.

    ``image`` is the pinned image to run (``repository@sha256:...`` or an image id), None until it is resolved.
    ``mac_addresses`` maps interface names to the MAC addresses assigned so far; the backend adds missing ones.
    """

    identity: Identity
    name: str  # metadata.name
    uid: str
    generation: int
    spec: runtimes.RuntimeSpec
    image: str | None = None
    mac_addresses: dict[str, str] = field(default_factory=dict)
    container_id: str = ""  # of the last observed container: finds it after somebody renamed it
    rival: str = ""  # message: another Runtime that needs the same dedicated interface
    applied: bool = False  # this generation has taken full effect: settings that were changed since do not refuse it
    pull_credentials: tuple[dict[str, str], ...] = field(default=(), repr=False)  # registry, username, password
    secret_env: dict[str, str] = field(default_factory=dict, repr=False)  # values of spec.env[].valueFrom, by name


def record(target: Target, image: str, image_source: str) -> dict[str, str]:
    """What a container records about its creation, in labels or annotations. ``image`` is its pin."""
    return {
        names.NAME_LABEL: target.name,
        names.UID_LABEL: target.uid,
        # Equal specs give equal text: the pods backend compares a digest of it.
        names.SPEC_LABEL: json.dumps(target.spec.wire(), sort_keys=True, separators=(",", ":")),
        names.IMAGE_LABEL: image,
        names.IMAGE_SOURCE_LABEL: image_source,
    }


def made_from(recorded: Mapping[str, str]) -> runtimes.RuntimeSpec | None:
    """The spec that a container was created from, None when the current model cannot parse its record."""
    try:
        return runtimes.RuntimeSpec.model_validate_json(recorded.get(names.SPEC_LABEL, ""))
    except pydantic.ValidationError:
        return None


class Step(Enum):
    """One action towards the desired state. Plans consist of steps, and every backend implements all of them."""

    RESOLVE_IMAGE = "ResolveImage"
    """Make sure that the image is on the host, pulling it if necessary, and set ``Target.image`` to its pin.

    Without a pin, resolve the spec's reference; keep a given pin, and pull it when it is missing.
    Cancelling this step aborts the pull; no other step is ever cancelled. It only reads until it reports its progress.
    """
    CREATE_CONTAINER = "CreateContainer"
    """Create the internal network, LAN networks, volumes and the container, all labelled; do not start it."""
    START_CONTAINER = "StartContainer"
    """Start it, then set up what the engine cannot: interface names, more interfaces, routes, resolv.conf."""
    STOP_CONTAINER = "StopContainer"
    """Stop it within the spec's grace period; it stays stopped when the engine restarts."""
    RESTORE_NAME = "RestoreName"
    """Undo the rename of a container that was observed as ``renamed``, running or not."""
    RESTART_CONTAINER = "RestartContainer"
    """Stop and start it on request of a person or the cloud."""
    REPLACE_CONTAINER = "ReplaceContainer"
    """Replace the container. Keep the old one until the new one runs, and roll back to it on failure.

    Raises errors.Stalled(REPLACE_FAILED) after a rollback, or its cause if that is checked before the next stop.
    """
    FINISH_REPLACEMENT = "FinishReplacement"
    """After a crash during REPLACE_CONTAINER: keep the new container if it runs, else roll back to the old one.

    Starts nothing when ``spec.desiredState`` is Stopped.
    """
    REPAIR_NETWORKS = "RepairNetworks"
    """Repair the interfaces of the container, running or not, without a restart.

    When the spec requires a change that the engine cannot make in place, raises errors.Stalled or changes nothing;
    the plan chooses between this step and a replacement by ``changes_in_place``.
    """
    ATTACH_DEVICES = "AttachDevices"
    """Make exactly the nodes of the plugged-in devices exist inside the running container."""
    UPDATE_RESOURCES = "UpdateResources"
    """Change CPU and memory limits of the running container."""
    PIN_IMAGE = "PinImage"
    """Use ``Target.image`` for the next start, without a restart now; only for a runtime observed as ``unpinned``."""
    REMOVE_CONTAINER = "RemoveContainer"
    """Stop and remove the container and its predecessor, and delete volumes with reclaimPolicy Delete."""
    REMOVE_NETWORKS = "RemoveNetworks"
    """Remove the internal network, and LAN networks that no other runtime of this installation uses."""

    @property
    def repair(self) -> bool:
        """Whether it only restores what a running container had before, so that an outdated spec is good enough."""
        return self in (Step.REPAIR_NETWORKS, Step.ATTACH_DEVICES)

    @property
    def repeatable(self) -> bool:
        """Whether it may run before the status records it: repeating it after a crash changes nothing."""
        return self.repair or self in (
            Step.RESOLVE_IMAGE,  # up to a pull, which waits for the record
            Step.START_CONTAINER,
            Step.STOP_CONTAINER,
            Step.RESTORE_NAME,
            Step.UPDATE_RESOURCES,
            Step.PIN_IMAGE,
        )


Progress = Callable[[str, str], Awaitable[None]]
"""``await progress(reason, message)`` reports the progress of a long step; the reconciler writes it to the status."""

Action = Callable[[Target, Progress], Awaitable[Target]]


@dataclass(frozen=True, kw_only=True)
class Actions:
    """A backend's implementation of each step: one field per step, so that mypy finds a missing one."""

    resolve_image: Action
    create_container: Action
    start_container: Action
    stop_container: Action
    restore_name: Action
    restart_container: Action
    replace_container: Action
    finish_replacement: Action
    repair_networks: Action
    attach_devices: Action
    update_resources: Action
    pin_image: Action
    remove_container: Action
    remove_networks: Action

    def of(self, step: Step) -> Action:
        """The action that implements the step."""
        action: Action = getattr(self, step.name.lower())
        return action


def plain(action: Callable[[Target], Awaitable[None]]) -> Action:
    """An action that reports no progress and adds nothing to the target."""

    async def act(target: Target, _progress: Progress) -> Target:
        await action(target)
        return target

    return act


def unsupported(step: Step) -> Action:
    """The action for a step that the backend does not support: raises errors.Stalled."""

    async def act(_target: Target, _progress: Progress) -> Target:
        message = f"This backend does not support {step.value}: remove the field of the spec that requires it"
        raise errors.Stalled(reasons.SPEC_IMPOSSIBLE, message)

    return act


class RunningContainer(NamedTuple):
    """A running container: its runtime, the host's pid of its first process, and its id ("" for a pod)."""

    identity: Identity
    pid: int
    container: str = ""


class LabeledContainer(NamedTuple):
    """A container with the labels of this installation, running or not."""

    identity: Identity
    name: str
    container_id: str
