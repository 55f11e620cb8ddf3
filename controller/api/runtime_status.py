"""``Runtime.status``: the observed state, written only by the node (or, for pods, by the leader)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from controller.api import restart_causes
from controller.api.fields import InterfaceName, PortName, ShortText, Text
from controller.machinery.conditions import Condition
from controller.machinery.model import Model, Timestamp

CONDITION_LIST: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
NAMED_LIST: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
ATOMIC_LIST: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}

RESTARTS_KEPT = 50


class State(NamedTuple):
    """A value of ``status.state``, Docker's word for it, and its meaning for a person."""

    name: str
    docker: str
    meaning: str


CREATED, STARTING, RUNNING, RESTARTING, PAUSED = "Created", "Starting", "Running", "Restarting", "Paused"
STOPPED, REMOVING, DEAD = "Stopped", "Removing", "Dead"
STATES: tuple[State, ...] = (
    State(CREATED, "created", "has never run"),
    State(STARTING, "starting", "is being started; the condition Ready says what it waits for"),
    State(RUNNING, "running", "the program runs"),
    State(RESTARTING, "restarting", "the program exited and is started again"),
    State(PAUSED, "paused", "the program is frozen"),
    State(STOPPED, "exited", "the program exited or was stopped"),
    State(REMOVING, "removing", "is being removed"),
    State(DEAD, "dead", "was removed only in part"),
)
_NAMES = {state.docker: state.name for state in STATES}
_DOCKER = {state.name: state.docker for state in STATES}


def state_name(docker: str) -> str:
    """The value of ``status.state`` for Docker's word. Keeps values of ``status.state``; release 0.1 wrote Docker's."""
    # A state that a newer engine adds is shown, not rejected with the whole status.
    return _NAMES.get(docker) or docker[:1].upper() + docker[1:]


def _known_state(value: object) -> object:
    return state_name(value) if isinstance(value, str) else value


def docker_state(status: Mapping[str, Any]) -> str | None:
    """Docker's word for the state in a status on the wire, whichever release wrote it; None without a container."""
    state = status.get("state")
    return _DOCKER.get(state_name(state), state) if state else None


class LeaseStatus(Model):
    """DHCP lease of an interface."""

    address: ShortText = Field(description="Leased IPv4 address.")
    prefix_length: Annotated[int, Field(ge=0, le=32)] = Field(description="Prefix length of the subnet.")
    gateway: ShortText = Field(default="", description="Gateway offered by the server.")
    dns: tuple[ShortText, ...] = Field(
        default=(), max_length=3, json_schema_extra=ATOMIC_LIST, description="DNS servers offered by the server."
    )
    server: ShortText = Field(description="Address of the DHCP server.")
    obtained_at: Timestamp = Field(description="Time at which the lease was obtained.")
    renewed_at: Timestamp | None = Field(
        default=None, description="Time of the last renewal; only while the server does not answer renewals."
    )
    expires_at: ShortText = Field(
        default="",
        description="Time at which the address is removed; empty while the server answers renewals.",
    )


class InterfaceStatus(Model):
    """Observed state of one interface."""

    name: InterfaceName = Field(description="Name of the interface, as in spec.interfaces.")
    address: ShortText = Field(default="", description="IPv4 address.")
    mac_address: ShortText = Field(default="", description="MAC address.")
    gateway: ShortText = Field(default="", description="Gateway on this LAN.")
    lease: LeaseStatus | None = None


class SerialPortStatus(Model):
    """Observed state of one serial port."""

    name: PortName = Field(description="Name of the port, as in spec.serialPorts.")
    device_path: ShortText = Field(default="", description="Device node on the host; empty if not plugged in.")
    attached: bool = Field(default=False, description="Whether the runtime can use the device.")
    message: Text = Field(default="", description="Why the device is not attached.")


class RestartRecord(Model):
    """One start or stop of the runtime and its cause."""

    time: Timestamp = Field(description="Time of the start or stop.")
    event: Literal["Started", "Stopped"] = Field(
        default="Started", description="Whether the runtime started or stopped."
    )
    cause: Annotated[str, Field(max_length=63)] = Field(
        description=f"One of {', '.join(cause.name for cause in restart_causes.TABLE)}."
    )
    detail: Text = Field(default="", description="Details of the cause, such as an exit code or a command.")


class RestartIntent(Model):
    """Latest restart requested by spec.restartedAt; recorded before the restart, so that it happens only once."""

    token: Timestamp = Field(description="Value of spec.restartedAt.")
    previous_started_at: ShortText = Field(
        default="", description="Start time of the container to be restarted; empty if no restart was needed."
    )


class Operation(Model):
    """Operation in progress."""

    name: Literal["creating", "updating", "starting", "stopping", "restarting", "deleting"] = Field(
        description="What the controller is doing."
    )
    step: ShortText = Field(default="", description="Reason of the Reconciling condition.")
    message: Text = Field(default="", description="Progress, or what the operation is waiting for.")
    started_at: Timestamp = Field(description="Time at which the operation started.")
    updated_at: Timestamp = Field(description="Time of the last progress.")


class RuntimeStatus(Model):
    """Observed state of one runtime."""

    observed_generation: int = Field(
        default=-1, description="Last generation that became ready, or stalled; -1 before the first."
    )
    applied_generation: int | None = Field(
        default=None,
        description="Last generation that took full effect; the container is changed only for a later one.",
    )
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=16, json_schema_extra=CONDITION_LIST, description="Conditions, such as Ready."
    )
    node: ShortText | None = Field(default=None, description="Node that runs it.")
    container_id: ShortText | None = Field(
        default=None, description="Id of the container; for a pod, derived from its StatefulSet and spec."
    )
    image: Annotated[str, Field(max_length=512)] | None = Field(
        default=None,
        description="Running image, as repository@digest or image id; also used to recreate the container.",
    )
    image_source: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Reference that image was resolved from; another reference is resolved again."
    )
    previous_image: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Image that ran before the current one."
    )
    state: Annotated[ShortText, BeforeValidator(_known_state)] | None = Field(
        default=None,
        description=f"State of the container: {'; '.join(f'{each.name} ({each.meaning})' for each in STATES)}.",
    )
    health: ShortText | None = Field(
        default=None, description="Result of the image's health check: healthy, unhealthy, starting or none."
    )
    started_at: ShortText | None = Field(default=None, description="Time of the last start.")
    # Capital letters as in Kubernetes (bootID, podIP), which the alias generator does not know.
    boot_id: ShortText | None = Field(
        default=None, alias="bootID", description="Boot id of the host at the last observation."
    )
    started_seconds: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Seconds from the boot of the host to startedAt, independent of the time of day.",
    )
    finished_at: ShortText | None = Field(default=None, description="Time of the last exit.")
    exit_code: int | None = Field(default=None, description="Exit code of the last exit.")
    out_of_memory: bool = Field(default=False, description="Whether the last exit was an out-of-memory kill.")
    restart_count: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Number of starts after the first, across containers."
    )
    engine_restart_count: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Docker's own restart count at the last observation, so that no start is counted twice."
    )
    restarts: tuple[RestartRecord, ...] = Field(
        default=(),
        max_length=RESTARTS_KEPT,
        description=f"The last {RESTARTS_KEPT} starts and stops, newest last.",
        json_schema_extra=ATOMIC_LIST,
    )
    last_restart: RestartRecord | None = Field(default=None, description="Most recent start after the first.")
    restart: RestartIntent | None = None
    internal_ip: ShortText | None = Field(
        default=None,
        alias="internalIP",
        description="Address on the internal network, over which the host reaches the runtime.",
    )
    interfaces: tuple[InterfaceStatus, ...] = Field(
        default=(), max_length=8, json_schema_extra=NAMED_LIST, description="Observed state of each interface."
    )
    serial_ports: tuple[SerialPortStatus, ...] = Field(
        default=(), max_length=16, json_schema_extra=NAMED_LIST, description="Observed state of each serial port."
    )
    operation: Operation | None = None
    failed_generation: int | None = Field(
        default=None, description="Generation whose container failed and was rolled back; it is not retried."
    )
    error: Text | None = Field(default=None, description="Last failure, in one sentence.")
    last_command: ShortText | None = Field(
        default=None, description="RuntimeCommand that took effect last; later starts and stops have other causes."
    )
