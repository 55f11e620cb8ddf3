"""What every backend offers: observe one runtime, execute one step, tell when something changed.

A backend decides nothing: the plan (runtimes/plan.py) turns what is desired and what is observed into steps.
Every step is idempotent: executed twice, or after a crash half-way, it ends in the same state.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple

from controller import errors
from controller.api import reasons, runtimes


class Identity(NamedTuple):
    """What a runtime *is*: its key, not its uid (the cloud upgrades by delete and create)."""

    install_id: str
    namespace: str
    device_id: str


class Contact(Enum):
    """How the backend stands to what it follows; after each change of this, anything may have changed."""

    CONNECTED = "stands"
    LOST = "lost"


@dataclass(frozen=True)
class Target:
    """One Runtime as a backend needs it.

    ``image`` is the pinned image to run (``repository@sha256:...`` or an image id), None until it is resolved.
    ``mac_addresses`` maps interface name to the MAC to use, when one is already known; the backend completes it.
    """

    identity: Identity
    name: str  # metadata.name
    uid: str
    generation: int
    spec: runtimes.RuntimeSpec
    image: str | None = None
    mac_addresses: dict[str, str] = field(default_factory=dict)
    container_id: str = ""  # of the container as last observed: finds it after a rename by hand
    rival: str = ""  # another Runtime that needs the dedicated interface, for a person
    pull_credentials: tuple[dict[str, str], ...] = field(default=(), repr=False)  # registry, username, password
    secret_env: dict[str, str] = field(default_factory=dict, repr=False)  # values of spec.env[].valueFrom, by name


@dataclass(frozen=True)
class ObservedLease:
    """What a DHCP server gave; times as RFC 3339, ``expires_at`` "" for a lease without end."""

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
    """One interface of the spec (by name) as it stands on the container, or a surplus one of ours."""

    name: str
    parent_interface: str = ""
    attached: bool = False
    address: str = ""
    mac_address: str = ""
    gateway: str = ""
    in_order: bool = True  # name inside the runtime, address, route and resolv.conf are as the spec asks
    detail: str = ""  # what is not in order, for a person
    awaits: str = ""  # the reason when it waits for something that no step of ours brings
    lease: ObservedLease | None = None
    remark: str = ""  # the reason when it is in order, but a person should know something


class Blocker(NamedTuple):
    """Why a runtime that was started does not run yet, or is not gone; ``reason`` is one of api/reasons.py."""

    kind: Literal["waiting", "retry", "stalled"]
    reason: str
    message: str


@dataclass(frozen=True)
class ObservedDevice:
    """One serial port of the spec (by name) as it stands in the container.

    ``path`` is the device's node on the host, "" while it is not plugged in. ``awaits`` as for an interface.
    """

    name: str
    path: str = ""
    in_order: bool = True
    detail: str = ""
    awaits: str = ""
    required: bool = False
    needs_new_container: bool = False  # no step but a new container can give it the device


@dataclass(frozen=True)
class Observed:
    """What a backend found of one runtime. ``state`` is Docker's word, "absent", or "starting" with a ``blocker``.

    ``made_from`` is the spec the container was created from (its label), None when absent or unreadable.
    """

    state: str = "absent"
    container_id: str = ""
    image: str = ""  # pinned form of the image that the container was made from
    image_source: str = ""  # the reference that image was resolved from, as kept on the container
    made_from: runtimes.RuntimeSpec | None = None
    uid: str = ""  # uid label of the container: another one than the Runtime's means adoption
    started_at: str = ""
    started_seconds: float | None = None  # from the host's boot to started_at; None where that is not known
    finished_at: str = ""
    exit_code: int | None = None  # of the last end, as long as that is known
    oom_killed: bool = False
    error: str = ""
    restart_count: int = 0  # starts that the engine made by itself, begun anew with a start by hand
    health: str = "none"
    internal_ip: str = ""
    interfaces: tuple[ObservedInterface, ...] = ()
    devices: tuple[ObservedDevice, ...] = ()
    internal_attached: bool = False
    resources: runtimes.Resources = field(default_factory=runtimes.Resources)
    neighbour: str = ""  # that a Runtime of another namespace has the container of this name, for a person
    foreign: str = ""  # a container of this name that is not ours: what it is, for a person
    renamed: str = ""  # the name that somebody gave to its container
    predecessor: str = ""  # id of the old container that a replacement keeps until the new one runs
    leftovers: bool = False  # networks of ours for this runtime stand although the container is absent
    missing_parents: tuple[str, ...] = ()
    start_blockers: tuple[tuple[str, str], ...] = ()  # (reason, message) of what a start of ours has to wait for
    dedicated_fault: str = ""  # what is not in order with the dedicated interface, for a person
    lent: bool = False  # an interface of the host is lent to it
    blocker: Blocker | None = None
    unpinned: bool = False  # at its next start the image would be resolved anew: PinImage mends that
    warnings: tuple[tuple[str, str], ...] = ()  # (reason, message): e.g. realtime options left out

    @property
    def exists(self) -> bool:
        """Whether there is a container of this identity, running or not."""
        return self.state != "absent"

    @property
    def running(self) -> bool:
        """Whether its program runs (a restarting one does not)."""
        return self.state == "running"


class Step(Enum):
    """One action towards the desired state: what a plan is made of, and what every backend answers completely."""

    RESOLVE_IMAGE = "ResolveImage"
    """Have the image on the host, pulled with progress if need be; ``Target.image`` is its pin.

    A target without a pin gets one from the spec's reference; a given pin is kept, and pulled when it is missing.
    Cancelling this step abandons the pull; no other step is ever cancelled.
    """
    CREATE_CONTAINER = "CreateContainer"
    """Make internal network, LAN networks, volumes and the container (not started), all labelled."""
    START_CONTAINER = "StartContainer"
    """Start it, then set up what the engine cannot: names, further interfaces, routes, resolv.conf."""
    STOP_CONTAINER = "StopContainer"
    """Stop it within the spec's grace period; it stays stopped over a restart of the engine."""
    RESTORE_NAME = "RestoreName"
    """Give the container that was observed as ``renamed`` its name back, running or not."""
    RESTART_CONTAINER = "RestartContainer"
    """Stop and start it, because a person or the cloud asked."""
    REPLACE_CONTAINER = "ReplaceContainer"
    """Replace the container; the old one is kept until the new one runs, and comes back if it fails.

    Raises errors.Stalled(REPLACE_FAILED) after it went back.
    """
    FINISH_REPLACEMENT = "FinishReplacement"
    """After a crash during REPLACE_CONTAINER: keep the new container if it runs, else go back to the old one.

    With ``spec.desiredState: Stopped`` nothing is started on the way.
    """
    REPAIR_NETWORKS = "RepairNetworks"
    """Repair the interfaces of the container, running or not, without a restart.

    Where the engine cannot change an interface in place and the spec asked for it, raises errors.Stalled or
    replaces nothing: the plan decides by ``changes_in_place``.
    """
    ATTACH_DEVICES = "AttachDevices"
    """Have the node of every plugged-in device, and of no other, inside the running container."""
    UPDATE_RESOURCES = "UpdateResources"
    """Change CPU and memory limits of the running container."""
    PIN_IMAGE = "PinImage"
    """Keep ``Target.image`` for the next start, without a restart; only for what was observed as ``unpinned``."""
    REMOVE_CONTAINER = "RemoveContainer"
    """Stop and remove the container and a kept predecessor, and volumes whose reclaimPolicy is Delete."""
    REMOVE_NETWORKS = "RemoveNetworks"
    """Remove the internal network, and LAN networks that no other runtime of ours uses."""

    @property
    def repair(self) -> bool:
        """Whether it only restores what a running container had, so that an older spec will do."""
        return self in (Step.REPAIR_NETWORKS, Step.ATTACH_DEVICES)

    @property
    def repeatable(self) -> bool:
        """Whether it may run before the status records it: running it again after a crash changes nothing."""
        return self.repair or self in (
            Step.START_CONTAINER,
            Step.STOP_CONTAINER,
            Step.RESTORE_NAME,
            Step.UPDATE_RESOURCES,
            Step.PIN_IMAGE,
        )


Progress = Callable[[str, str], Awaitable[None]]
"""``await progress(reason, message)``: tells how a long step goes; the reconciler writes it into the status."""

Action = Callable[[Target, Progress], Awaitable[Target]]


@dataclass(frozen=True, kw_only=True)
class Actions:
    """What a backend does for each step: one field a step, so that mypy reports a backend that misses one."""

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
        """The action of that step."""
        action: Action = getattr(self, step.name.lower())
        return action


def plain(action: Callable[[Target], Awaitable[None]]) -> Action:
    """An action that reports no progress and adds nothing to the target."""

    async def act(target: Target, _progress: Progress) -> Target:
        await action(target)
        return target

    return act


def unsupported(step: Step) -> Action:
    """The action of a backend that cannot do the step: raises errors.Stalled."""

    async def act(_target: Target, _progress: Progress) -> Target:
        message = f"This backend cannot do {step.value}: remove the field of the spec that asks for it"
        raise errors.Stalled(reasons.SPEC_IMPOSSIBLE, message)

    return act


class RunningContainer(NamedTuple):
    """A running container: its runtime, its first process on the host, and the engine's id of it, "" for a pod's."""

    identity: Identity
    pid: int
    container: str = ""


class Orphan(NamedTuple):
    """A container labelled as ours for which no Runtime exists."""

    identity: Identity
    name: str
    container_id: str
