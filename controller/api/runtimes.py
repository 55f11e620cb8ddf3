"""``Runtime``: a long-lived container with a place on the plant's LAN, as a person or the cloud wishes it.

The wish only; what was found is in runtime_status.py. Cross-field rules stand here once, as CEL rules that the
API server enforces. No I/O, nothing that looks at the world.
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
from controller.machinery import metadata
from controller.machinery.model import Model, Timestamp

Backend = Literal["Docker", "Pod"]
DesiredState = Literal["Running", "Stopped"]


def listed_by_name(max_items: int) -> Any:
    """A list of named entries: Kubernetes merges it by ``name`` and refuses a name given twice."""
    return Field(
        default=(),
        max_length=max_items,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class Interface(Model):
    """One macvlan interface of the runtime on the LAN of a parent interface."""

    name: InterfaceName = Field(description="Name of the interface inside the runtime.")
    parent_interface: ParentInterface = Field(description="Interface of the host whose LAN the runtime joins.")
    mode: Literal["Dhcp", "Static"] = Field(default="Dhcp", description="Where the address comes from.")
    address: Ipv4 | None = Field(default=None, description="IPv4 address; required with mode Static.")
    subnet: Subnet | None = Field(
        default=None, description="Subnet of the LAN in CIDR form; required with mode Static."
    )
    gateway: Ipv4 | None = Field(default=None, description="Default gateway on this LAN.")
    dns: tuple[Ipv4, ...] = Field(
        default=(),
        max_length=3,
        description="Name servers.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    mac_address: MacAddress | None = Field(
        default=None, description="Pinned MAC address; derived from the runtime's identity when left out."
    )


class SerialPort(Model):
    """One serial device of the host inside the runtime."""

    name: PortName
    device_id: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        description="Stable id, as in /dev/serial/by-id."
    )
    container_path: AbsolutePath = Field(description="Path of the device inside the runtime.")
    baud_rate: Annotated[int, Field(ge=50, le=4_000_000)] | None = None
    required: bool = Field(default=False, description="Start only when the device is there.")


class Resources(Model):
    """Upper limits; left out means unlimited."""

    cpu: CpuQuantity | None = Field(default=None, description='CPU limit, such as "2", "0.5" or "500m".')
    memory: MemoryQuantity | None = Field(default=None, description='Memory limit, such as "512Mi".')


class SecretKeySelector(Model):
    """A key of a Secret in the Runtime's namespace."""

    name: ObjectName
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
    optional: bool = Field(default=False, description="Leave the variable out where there is no such Secret or key.")


class EnvVarSource(Model):
    """Where the value of an environment variable comes from."""

    secret_key_ref: SecretKeySelector


class EnvVar(Model):
    """One environment variable."""

    name: EnvName
    value: Annotated[str, Field(max_length=4096)] = ""
    value_from: EnvVarSource | None = Field(
        default=None, description="In place of value: read when a container is made, and kept in nothing else of ours."
    )


class Volume(Model):
    """A named volume that outlives the container, keyed by the runtime's identity."""

    name: ObjectName
    mount_path: AbsolutePath
    read_only: bool = False
    reclaim_policy: Literal["Retain", "Delete"] = Field(
        default="Retain", description="What happens to the data when the Runtime is deleted."
    )


class Realtime(Model):
    """Scheduling rights of a soft PLC (SYS_NICE, rtprio, memlock); left out with a warning where the host has none."""

    enabled: bool = False
    rtprio: Annotated[int, Field(ge=1, le=99)] = 99


class ControlPort(Model):
    """Where the runtime answers commands, on its internal address."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8443
    scheme: Literal["http", "https"] = "https"


class SecretReference(Model):
    """A Secret of type kubernetes.io/dockerconfigjson in the Runtime's namespace."""

    name: ObjectName


class RuntimeSpec(Model):
    """The desired state of one runtime."""

    device_id: DeviceId = Field(description="Identity for the cloud and name of the container; immutable.")
    backend: Backend | None = Field(default=None, description="Docker container or pod; set once.")
    node_name: ShortText | None = Field(default=None, description="EdgeNode that runs it; set once.")
    image: ImageRepository = Field(description="Image repository, without tag.")
    version: ImageTag | None = Field(default=None, description="Image tag; resolved once, when it changes.")
    digest: ImageDigest | None = Field(default=None, description="Image digest; wins over version.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[SecretReference, ...] = listed_by_name(4)
    desired_state: DesiredState = "Running"
    restarted_at: Timestamp | None = Field(default=None, description="A new value restarts the runtime once.")
    interfaces: tuple[Interface, ...] = listed_by_name(8)
    serial_ports: tuple[SerialPort, ...] = listed_by_name(16)
    dedicated_interface: ParentInterface | None = Field(
        default=None, description="Parent interface that this runtime alone may use."
    )
    resources: Resources = Resources()
    env: tuple[EnvVar, ...] = listed_by_name(64)
    volumes: tuple[Volume, ...] = listed_by_name(16)
    realtime: Realtime = Realtime()
    control_port: ControlPort = ControlPort()
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=600)] = 10
    paused: bool = Field(default=False, description="Reconcile nothing while true.")

    @property
    def image_reference(self) -> str:
        """What a person would pull: repository with digest, or with tag."""
        return f"{self.image}@{self.digest}" if self.digest else f"{self.image}:{self.version or 'latest'}"


class Runtime(Model):
    """The whole object as the API stores it."""

    metadata: metadata.ObjectMeta
    spec: RuntimeSpec
    status: RuntimeStatus = RuntimeStatus()
