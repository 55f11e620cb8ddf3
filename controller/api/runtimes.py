"""``Runtime``: the desired state of a long-lived container with its own address on the plant's LAN.

The observed state is in runtime_status.py. Rules across fields are CEL rules in crds.py, which the API server enforces.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from controller.api.fields import (
    AbsolutePath,
    CpuQuantity,
    DeviceId,
    EnvName,
    ImageDigest,
    ImageRepository,
    ImageTag,
    InterfaceName,
    Ipv4,
    MacAddress,
    MemoryQuantity,
    ObjectName,
    ParentInterface,
    PortName,
    ShortText,
    Subnet,
)
from controller.api.runtime_status import RuntimeStatus
from controller.machinery import model
from controller.machinery.model import Model, Timestamp

Backend = Literal["Docker", "Pod"]
DesiredState = Literal["Running", "Stopped"]


def listed_by_name(max_items: int, description: str) -> Any:
    """A list of named entries: Kubernetes merges it by ``name`` and rejects duplicate names."""
    return Field(
        default=(),
        max_length=max_items,
        description=description,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class Interface(Model):
    """One macvlan interface that connects the runtime to the LAN of a parent interface."""

    name: InterfaceName = Field(description="Name of the interface inside the runtime.")
    parent_interface: ParentInterface = Field(description="Host interface whose LAN the runtime joins.")
    mode: Literal["Dhcp", "Static"] = Field(
        default="Dhcp", description="Source of the address: the LAN's DHCP server or this spec."
    )
    address: Ipv4 | None = Field(default=None, description="IPv4 address; required if mode is Static.")
    subnet: Subnet | None = Field(
        default=None, description="Subnet of the LAN in CIDR notation; required if mode is Static."
    )
    gateway: Ipv4 | None = Field(
        default=None,
        description="Gateway on this LAN; the default route uses the first interface in the list that has one.",
    )
    dns: tuple[Ipv4, ...] = Field(
        default=(),
        max_length=3,
        description="DNS servers; default: those of the DHCP lease, if any.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    mac_address: MacAddress | None = Field(
        default=None, description="Fixed MAC address; default: derived from the runtime's identity."
    )


class SerialPort(Model):
    """One serial device of the host that the runtime can use."""

    name: PortName = Field(description="Name of the port, unique in this list.")
    device_id: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        description="Stable name of the device, as in /dev/serial/by-id."
    )
    container_path: AbsolutePath = Field(description="Path of the device inside the runtime.")
    baud_rate: Annotated[int, Field(ge=50, le=4_000_000)] | None = Field(
        default=None, description="Baud rate, for information only: the program in the runtime sets it."
    )
    required: bool = Field(default=False, description="Start the runtime only when the device is plugged in.")


class Resources(Model):
    """Resource limits of the runtime; an omitted limit means unlimited."""

    cpu: CpuQuantity | None = Field(default=None, description='CPU limit, such as "2", "0.5" or "500m".')
    memory: MemoryQuantity | None = Field(default=None, description='Memory limit, such as "512Mi".')


class SecretKeySelector(Model):
    """A key of a Secret in the Runtime's namespace."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(
        description="Key in the Secret's data."
    )
    optional: bool = Field(default=False, description="Omit the variable if the Secret or the key does not exist.")


class EnvVarSource(Model):
    """Source of an environment variable's value."""

    secret_key_ref: SecretKeySelector


class EnvVar(Model):
    """One environment variable of the runtime."""

    name: EnvName = Field(description="Name of the variable.")
    value: Annotated[str, Field(max_length=4096)] = Field(
        default="", description="Value, in clear text; use valueFrom for secrets."
    )
    value_from: EnvVarSource | None = Field(
        default=None,
        description="Source of the value, instead of value; read when a container is created and stored nowhere else.",
    )


class Volume(Model):
    """A named volume that outlives the container; its name is derived from the runtime's identity."""

    name: ObjectName = Field(description="Name of the volume, unique in this list.")
    mount_path: AbsolutePath = Field(description="Path of the volume inside the runtime.")
    read_only: bool = Field(default=False, description="Mount the volume read-only.")
    reclaim_policy: Literal["Retain", "Delete"] = Field(
        default="Retain", description="What happens to the data when the Runtime is deleted."
    )


class Realtime(Model):
    """Real-time scheduling (SYS_NICE, rtprio, memlock); RealtimeAvailable is False on a host without support."""

    enabled: bool = Field(default=False, description="Grant the runtime real-time scheduling.")
    rtprio: Annotated[int, Field(ge=1, le=99)] = Field(default=99, description="Highest real-time priority allowed.")


class ControlPort(Model):
    """Port on the runtime's internal address that serves the requests of run_command."""

    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=8443, description="TCP port.")
    scheme: Literal["http", "https"] = Field(default="https", description="Protocol of the port.")


class SecretReference(Model):
    """A Secret of type kubernetes.io/dockerconfigjson in the Runtime's namespace."""

    name: ObjectName = Field(description="Name of the Secret.")


class RuntimeSpec(Model):
    """Desired state of one runtime."""

    device_id: DeviceId = Field(
        description="Identity of the runtime: its id in the cloud and the name of its container; immutable."
    )
    backend: Backend | None = Field(
        default=None,
        description="Whether it runs as a Docker container or a pod; immutable once set, by default by the controller.",
    )
    node_name: ShortText | None = Field(
        default=None, description="EdgeNode that runs it; immutable once set, by default by the controller."
    )
    image: ImageRepository = Field(description="Image repository, without a tag.")
    version: ImageTag | None = Field(
        default=None, description="Image tag; resolved to a digest once, when image or version changes."
    )
    digest: ImageDigest | None = Field(default=None, description="Image digest; takes precedence over version.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When to pull the image while resolving it."
    )
    image_pull_secrets: tuple[SecretReference, ...] = listed_by_name(4, "Secrets with registry credentials.")
    desired_state: DesiredState = Field(default="Running", description="Whether the runtime should run.")
    restarted_at: Timestamp | None = Field(
        default=None, description="Time of the last restart request; a new value restarts the runtime once."
    )
    interfaces: tuple[Interface, ...] = listed_by_name(8, "Interfaces of the runtime on the plant's LANs.")
    serial_ports: tuple[SerialPort, ...] = listed_by_name(16, "Serial devices of the host that the runtime can use.")
    dedicated_interface: ParentInterface | None = Field(
        default=None, description="Host interface to move into the runtime while it runs, for its exclusive use."
    )
    # One default for all objects is safe, because models are immutable.
    resources: Resources = Resources()
    env: tuple[EnvVar, ...] = listed_by_name(64, "Environment variables.")
    volumes: tuple[Volume, ...] = listed_by_name(16, "Named volumes, which outlive the container.")
    realtime: Realtime = Realtime()
    control_port: ControlPort = ControlPort()
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=600)] = Field(
        default=10, description="Seconds between SIGTERM and SIGKILL when the runtime is stopped."
    )
    paused: bool = Field(default=False, description="Suspend reconciliation of this Runtime.")

    @property
    def image_reference(self) -> str:
        """The image as ``docker pull`` takes it: repository with digest, or with tag."""
        return f"{self.image}@{self.digest}" if self.digest else f"{self.image}:{self.version or 'latest'}"


class Runtime(Model):
    """A long-lived container, such as a soft PLC, with its own MAC and IP address on the plant's LAN."""

    metadata: model.ObjectMeta
    spec: RuntimeSpec
    status: RuntimeStatus = RuntimeStatus()
