"""What a backend observes of a runtime: the life of its container, and one part for each facet (runtimes/facets)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from controller.api import reasons, runtimes
from controller.api.runtime_status import LeaseStatus


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
    lease: LeaseStatus | None = None
    remark: str = ""  # the reason of a warning, when it is in order


@dataclass(frozen=True)
class ObservedNetwork:
    """The interfaces on the plant's LAN, and the internal network over which the host reaches the runtime."""

    interfaces: tuple[ObservedInterface, ...] = ()
    missing_parents: tuple[str, ...] = ()
    internal_ip: str = ""
    internal_attached: bool = False


@dataclass(frozen=True)
class ObservedDedicated:
    """The dedicated host interface. ``fault`` is a message: what is wrong with it.

    ``passed_through``: a host interface is passed through to the runtime, whether or not the spec still asks for it.
    """

    fault: str = ""
    passed_through: bool = False


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
class ObservedImage:
    """The image that the container was created from; ``source`` is the reference that the pin was resolved from.

    ``unpinned``: the next start would resolve the image again; the step PinImage prevents that.
    """

    pin: str = ""
    source: str = ""
    unpinned: bool = False


class Blocker(NamedTuple):
    """Why a started runtime does not run yet, or a removed one still exists; ``reason`` is one of api/reasons.py."""

    reason: str
    message: str

    @property
    def kind(self) -> reasons.Failure:
        """The outcome that the reason belongs to."""
        return reasons.failure(self.reason)


@dataclass(frozen=True)
class Observed:
    """The observed state of one runtime. ``state`` is one of Docker's, "absent", or "starting" with a ``blocker``.

    ``made_from`` is the spec the container was created from (its label), None when absent or unreadable.
    """

    state: str = "absent"
    container_id: str = ""
    made_from: runtimes.RuntimeSpec | None = None
    uid: str = ""  # uid label of the container: a container with another uid than the Runtime's is adopted
    started_at: str = ""
    # A host without a clock battery boots in 1970, so intervals never come from the time of day.
    started_seconds: float | None = None  # from the host's boot to started_at; None when unknown
    finished_at: str = ""
    exit_code: int | None = None  # of the last exit, as long as the engine knows it
    oom_killed: bool = False
    error: str = ""
    restart_count: int = 0  # automatic restarts by the engine since the last manual start
    health: str = "none"
    neighbour: str = ""  # message: a Runtime of another namespace owns the container with this name
    foreign: str = ""  # describes a container with this name that is not ours
    renamed: str = ""  # the current name of the container when somebody renamed it
    predecessor: str = ""  # id of the old container that a replacement keeps until the new one runs
    blocker: Blocker | None = None

    network: ObservedNetwork = field(default_factory=ObservedNetwork)
    dedicated: ObservedDedicated = field(default_factory=ObservedDedicated)
    devices: tuple[ObservedDevice, ...] = ()
    image: ObservedImage = field(default_factory=ObservedImage)
    limits: runtimes.Resources = field(default_factory=runtimes.Resources)
    start_blockers: tuple[tuple[str, str], ...] = ()  # (reason, message) of each reason not to start it now
    warnings: tuple[tuple[str, str], ...] = ()  # (reason, message): e.g. realtime options left out

    @property
    def exists(self) -> bool:
        """Whether the container exists, running or not."""
        return self.state != "absent"

    @property
    def running(self) -> bool:
        """Whether its program runs; False while it restarts."""
        return self.state == "running"
