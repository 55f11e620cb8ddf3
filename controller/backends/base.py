"""The data that backends exchange with the reconciler: targets, observations and steps.

A backend makes no decisions: the plan (runtimes/plan.py) turns the desired and the observed state into steps.
Every step is idempotent: running it twice, or again after a crash half-way, ends in the same state.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple

from controller import errors
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
    pull_credentials: tuple[dict[str, str], ...] = field(default=(), repr=False)  # registry, username, password
    secret_env: dict[str, str] = field(default_factory=dict, repr=False)  # values of spec.env[].valueFrom, by name


@dataclass(frozen=True)
class ObservedLease:
    """A DHCP lease; times as RFC 3339, ``expires_at`` is "" for an infinite lease."""

    address: str
    prefix_length: int
    gateway: str
    dns: tuple[str, ...]
    server: str
    obtained_at: str
    renewed_at: str
    expires_at: str


@dataclass(frozen=True)
class ObservedInterface:
    """The observed state of one interface of the spec, or of an interface of ours that the spec does not list."""

    name: str
    parent_interface: str = ""
    attached: bool = False
    address: str = ""
    mac_address: str = ""
    gateway: str = ""
    in_order: bool = True  # name inside the runtime, address, route and resolv.conf match the spec
    detail: str = ""  # message: what does not match
    awaits: str = ""  # the reason, when it waits for something that no step can provide
    lease: ObservedLease | None = None
    remark: str = ""  # the reason of a warning, when it is in order


class Blocker(NamedTuple):
    """Why a started runtime does not run yet, or a removed one still exists; ``reason`` is one of api/reasons.py."""

    kind: Literal["waiting", "retry", "stalled"]
    reason: str
    message: str


@dataclass(frozen=True)
class ObservedDevice:
    """The observed state of one serial port of the spec.

    ``path`` is the device node on the host, "" while the device is unplugged. ``awaits`` is as for an interface.
    """

    name: str
    path: str = ""
    in_order: bool = True
    detail: str = ""
    awaits: str = ""
    required: bool = False
    needs_new_container: bool = False  # only a new container can get access to the device


@dataclass(frozen=True)
class Observed:
    """The observed state of one runtime. ``state`` is one of Docker's, "absent", or "starting" with a ``blocker``.

    ``made_from`` is the spec the container was created from (its label), None when absent or unreadable.
    """

    state: str = "absent"
    container_id: str = ""
    image: str = ""  # pin of the image that the container was created from
    image_source: str = ""  # the reference that the pin was resolved from, as recorded on the container
    made_from: runtimes.RuntimeSpec | None = None
    uid: str = ""  # uid label of the container: a container with another uid than the Runtime's is adopted
    started_at: str = ""
    started_seconds: float | None = None  # from the host's boot to started_at; None when unknown
    finished_at: str = ""
    exit_code: int | None = None  # of the last exit, as long as the engine knows it
    oom_killed: bool = False
    error: str = ""
    restart_count: int = 0  # automatic restarts by the engine since the last manual start
    health: str = "none"
    internal_ip: str = ""
    interfaces: tuple[ObservedInterface, ...] = ()
    devices: tuple[ObservedDevice, ...] = ()
    internal_attached: bool = False
    resources: runtimes.Resources = field(default_factory=runtimes.Resources)
    neighbour: str = ""  # message: a Runtime of another namespace owns the container with this name
    foreign: str = ""  # describes a container with this name that is not ours
    renamed: str = ""  # the current name of the container when somebody renamed it
    predecessor: str = ""  # id of the old container that a replacement keeps until the new one runs
    leftovers: bool = False  # networks of this runtime exist although its container is absent
    missing_parents: tuple[str, ...] = ()
    start_blockers: tuple[tuple[str, str], ...] = ()  # (reason, message) of each reason not to start it now
    dedicated_fault: str = ""  # message: what is wrong with the dedicated interface
    passed_through: bool = False  # a host interface is passed through to it
    blocker: Blocker | None = None
    unpinned: bool = False  # the next start would resolve the image again: PinImage prevents that
    warnings: tuple[tuple[str, str], ...] = ()  # (reason, message): e.g. realtime options left out

    @property
    def exists(self) -> bool:
        """Whether the container exists, running or not."""
        return self.state != "absent"

    @property
    def running(self) -> bool:
        """Whether its program runs; False while it restarts."""
        return self.state == "running"


class Step(Enum):
    """One action towards the desired state. Plans consist of steps, and every backend implements all of them."""

    RESOLVE_IMAGE = "ResolveImage"
    """Make sure that the image is on the host, pulling it if necessary, and set ``Target.image`` to its pin.

    Without a pin, resolve the spec's reference; keep a given pin, and pull it when it is missing.
    Cancelling this step aborts the pull; no other step is ever cancelled.
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

    Raises errors.Stalled(REPLACE_FAILED) after a rollback.
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
