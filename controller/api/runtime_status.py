"""``Runtime.status``: what was found, written only by the node (or the leader of the pods backend)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from controller.api import restart_causes
from controller.api.fields import InterfaceName, PortName, ShortText, Text
from controller.machinery.conditions import Condition
from controller.machinery.model import Model, Timestamp

CONDITION_LIST: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
NAMED_LIST: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
ATOMIC_LIST: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}

RESTARTS_KEPT = 50


class LeaseStatus(Model):
    """What a DHCP server gave."""

    address: ShortText
    prefix_length: Annotated[int, Field(ge=0, le=32)]
    gateway: ShortText = ""
    dns: tuple[ShortText, ...] = Field(default=(), max_length=3, json_schema_extra=ATOMIC_LIST)
    server: ShortText
    obtained_at: Timestamp
    renewed_at: Timestamp
    expires_at: ShortText = Field(default="", description="Empty for a lease without end.")


class InterfaceStatus(Model):
    """One interface as it stands."""

    name: InterfaceName
    address: ShortText = ""
    mac_address: ShortText = ""
    gateway: ShortText = ""
    lease: LeaseStatus | None = None


class SerialPortStatus(Model):
    """One serial port as it stands."""

    name: PortName
    device_path: ShortText = Field(default="", description="The device's node on the host; empty: not plugged in.")
    attached: bool = False
    message: Text = ""


class RestartRecord(Model):
    """One start or stop of the runtime, and why it happened."""

    time: Timestamp
    event: Literal["Started", "Stopped"] = "Started"
    cause: Annotated[str, Field(max_length=63)] = Field(
        description=f"{', '.join(cause.name for cause in restart_causes.TABLE)}."
    )
    detail: Text = ""


class RestartIntent(Model):
    """A restart asked for by ``spec.restartedAt``; written before it is made, so that it is made once."""

    token: Timestamp
    previous_started_at: ShortText = ""


class Operation(Model):
    """Work under way, for those who wait."""

    name: Literal["creating", "updating", "starting", "stopping", "restarting", "deleting"]
    step: ShortText = ""
    message: Text = ""
    started_at: Timestamp
    updated_at: Timestamp


class RuntimeStatus(Model):
    """The observed state of one runtime."""

    observed_generation: int = -1
    applied_generation: int | None = Field(
        default=None, description="Last generation whose spec took full effect; only a later one changes a container."
    )
    conditions: tuple[Condition, ...] = Field(default=(), max_length=16, json_schema_extra=CONDITION_LIST)
    node: ShortText | None = None
    container_id: ShortText | None = None
    image: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Image that runs, as repository@digest or image id; recreation uses it."
    )
    image_source: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Reference that `image` was resolved from; another one is resolved anew."
    )
    previous_image: Annotated[str, Field(max_length=512)] | None = None
    state: ShortText | None = Field(
        default=None, description="Docker's word: created, running, restarting, exited, ..."
    )
    health: ShortText | None = Field(default=None, description="healthy, unhealthy, starting or none.")
    started_at: ShortText | None = None
    boot_id: ShortText | None = Field(
        default=None, alias="bootID", description="Boot of the host in which it was last looked at."
    )
    started_seconds: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Seconds from that boot to `startedAt`, by a clock that is never set."
    )
    finished_at: ShortText | None = None
    exit_code: int | None = Field(default=None, description="Of the last end of the program.")
    out_of_memory: bool = Field(default=False, description="Whether the last end was for lack of memory.")
    restart_count: Annotated[int, Field(ge=0)] = 0
    engine_restart_count: Annotated[int, Field(ge=0)] = Field(
        default=0, description="The engine's own count at the last look, so that each start is counted once."
    )
    restarts: tuple[RestartRecord, ...] = Field(
        default=(),
        max_length=RESTARTS_KEPT,
        description="The last starts and stops, newest last.",
        json_schema_extra=ATOMIC_LIST,
    )
    last_restart: RestartRecord | None = Field(default=None, description="The newest start after the first.")
    restart: RestartIntent | None = None
    internal_ip: ShortText | None = Field(default=None, alias="internalIP")
    interfaces: tuple[InterfaceStatus, ...] = Field(default=(), max_length=8, json_schema_extra=NAMED_LIST)
    serial_ports: tuple[SerialPortStatus, ...] = Field(default=(), max_length=16, json_schema_extra=NAMED_LIST)
    operation: Operation | None = None
    failed_generation: int | None = Field(
        default=None, description="Generation whose replacement failed and was rolled back; not tried again."
    )
    error: Text | None = Field(default=None, description="The last failure, in one sentence.")
    last_command: ShortText | None = Field(
        default=None, description="RuntimeCommand whose wish took effect last; a later stop or start is not its doing."
    )
