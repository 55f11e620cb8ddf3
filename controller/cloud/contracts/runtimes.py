"""``create_new_runtime``: the desired runtime with its interfaces and serial ports.

Rules across fields are validated on the later field, so that the fault names it and all other faults are listed too.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from controller.cloud.contracts import base
from controller.cloud.contracts.faults import fault
from controller.cloud.contracts.fields import (
    AbsolutePath,
    ContainerName,
    InterfaceName,
    Ipv4,
    OptionalImageTag,
    OptionalIpv4,
    OptionalMac,
    OptionalNodeName,
    OptionalParentInterface,
    OptionalText,
    ParentInterface,
    PortName,
    Text,
    host_fault,
    network_of,
)

MAX_INTERFACES = 8
MAX_NAME_SERVERS = 3
MAX_SERIAL_PORTS = 16


class Part(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Interface(Part):
    """One entry of ``vnic_configs``. Address and MAC have two field names each; both may be given if they are equal."""

    name: InterfaceName
    parent_interface: ParentInterface
    network_mode: Literal["dhcp", "static", "manual"]
    ip_address: OptionalIpv4 = None
    # Validated even if it is absent, as it carries the rule about both fields.
    ip: Annotated[OptionalIpv4, Field(validate_default=True)] = None
    parent_subnet: OptionalText = None
    subnet: Annotated[OptionalText, Field(validate_default=True)] = None
    parent_gateway: OptionalIpv4 = None
    gateway: OptionalIpv4 = None
    dns: Annotated[list[Ipv4], Field(max_length=MAX_NAME_SERVERS)] | None = None
    mac_address: OptionalMac = None
    mac: OptionalMac = None

    @field_validator("ip")
    @classmethod
    def _static_needs_an_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        other = info.data.get("ip_address")
        if value and other and value != other:
            raise fault(f"differs from ip_address ({other})")
        # info.data lacks a field that is invalid itself: one mistake must not be listed as two faults.
        if _static(info) and "ip_address" in info.data and not (value or other):
            raise fault("is required with network_mode static")
        return value

    @field_validator("mac")
    @classmethod
    def _one_mac(cls, value: str | None, info: ValidationInfo) -> str | None:
        other = info.data.get("mac_address")
        if value and other and value != other:
            raise fault(f"differs from mac_address ({other})")
        return value

    @field_validator("subnet")
    @classmethod
    def _subnet_of_the_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        given = value or info.data.get("parent_subnet")
        if not given:
            if _static(info) and "parent_subnet" in info.data:
                raise fault("is required with network_mode static")
            return value
        address = info.data.get("ip") or info.data.get("ip_address")
        try:
            network = network_of(given, address)
        except ValueError as error:
            raise fault(str(error)) from None
        if network and address and (error_text := host_fault(address, network)):
            raise fault(error_text)
        return value

    @field_validator("gateway")
    @classmethod
    def _gateway_in_subnet(cls, value: str | None, info: ValidationInfo) -> str | None:
        network = _network(info.data)
        if not value or network is None:
            return value
        if ipaddress.IPv4Address(value) not in network:
            raise fault(f"must be inside the subnet {network}")
        if value in (info.data.get("ip"), info.data.get("ip_address")):
            raise fault("must not be the runtime's own address")
        return value

    @property
    def static(self) -> bool:
        """Whether the address is static; ``manual`` means the same as ``static``."""
        return self.network_mode != "dhcp"

    @property
    def address(self) -> str | None:
        """The IPv4 address, from either field."""
        return self.ip or self.ip_address

    @property
    def hardware_address(self) -> str | None:
        """The MAC address in lower case with colons, from either field."""
        return self.mac or self.mac_address

    @property
    def network(self) -> ipaddress.IPv4Network | None:
        """The subnet, or else the parent interface's; a netmask is combined with the address."""
        return _network(self.__dict__)

    @property
    def router(self) -> str | None:
        """The gateway, or else the parent interface's if that is inside the subnet."""
        # Unlike gateway, parent_gateway is only a default: one that does not fit is left out, not refused.
        if self.gateway or not self.parent_gateway or self.network is None:
            return self.gateway
        inside = ipaddress.IPv4Address(self.parent_gateway) in self.network
        return self.parent_gateway if inside and self.parent_gateway != self.address else None


class SerialPort(Part):
    """One entry of ``serial_configs``."""

    name: PortName
    device_id: Text
    container_path: AbsolutePath
    baud_rate: Annotated[int, Field(ge=50, le=4_000_000)] | None = None


class CreateNewRuntime(base.Message):
    """A runtime with its network interfaces and serial ports."""

    container_name: ContainerName
    vnic_configs: Annotated[list[Interface], Field(min_length=1, max_length=MAX_INTERFACES)]
    runtime_version: OptionalImageTag = None
    serial_configs: Annotated[list[SerialPort], Field(max_length=MAX_SERIAL_PORTS)] | None = None
    dedicated_interface: OptionalParentInterface = None
    node_name: OptionalNodeName = None

    @field_validator("vnic_configs", "serial_configs")
    @classmethod
    def _names_differ(cls, value: list[Any] | None) -> list[Any] | None:
        names = [part.name for part in value or ()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise fault(f"must not have the name {twice} twice")
        return value

    @property
    def device(self) -> str:
        return self.container_name


def _static(info: ValidationInfo) -> bool:
    return info.data.get("network_mode") in {"static", "manual"}


def _network(fields: dict[str, Any]) -> ipaddress.IPv4Network | None:
    """The network from the fields validated so far; None if a required one is missing or invalid."""
    given = fields.get("subnet") or fields.get("parent_subnet")
    if not given or "subnet" not in fields:
        return None
    return network_of(given, fields.get("ip") or fields.get("ip_address"))
