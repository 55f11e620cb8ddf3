"""Field types and subnets shared by the contracts; the error for a wrong value says what is expected.

An empty optional text counts as absent, because forms send empty fields.
"""

from __future__ import annotations

import ipaddress
import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from controller.api import fields
from controller.cloud.contracts.faults import fault


def _finite_number(value: Any) -> int | float:
    # A bool is an int.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise fault("must be a finite number")
    return value


def _date_time(value: str) -> str:
    """ISO 8601 date and time; no offset means UTC. Kept as text, which is part of the command's identity."""
    try:
        # fromisoformat also accepts a date without a time, and week dates.
        if re.match(r"\d{4}-?\d{2}-?\d{2}[T ]\d{2}", value):
            moment = datetime.fromisoformat(value)
            # Its offset may lead out of the years that Python and RFC 3339 know.
            moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
            return value
    except (ValueError, OverflowError):
        pass
    raise fault("must be an ISO 8601 date-time such as 2025-11-20T20:30:45.123456Z")


def _not_blank(value: str) -> str:
    if not value.strip():
        raise fault("must not be blank")
    return value


def _absent_when_empty(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _matches(pattern: str, sentence: str, limit: int = 253) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        # fullmatch, because '$' also matches before a line break at the end.
        if len(value) > limit or not compiled.fullmatch(value):
            raise fault(sentence)
        return value

    return AfterValidator(check)


def _host_address(value: str) -> str:
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        raise fault("must be an IPv4 address such as 192.168.1.50") from None
    if address.is_multicast or address.is_unspecified or address.is_loopback or address.is_reserved:
        raise fault("must be the address of a host")
    return value


def _mac_address(value: str) -> str:
    text = value.lower().replace("-", ":")
    # An odd first octet marks a group address (IEEE 802), which no interface can have.
    if not re.fullmatch(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", text) or text == "00:00:00:00:00:00":
        raise fault("must be a unicast MAC address such as 02:42:ac:11:00:02")
    return text


Number = Annotated[int | float, PlainValidator(_finite_number)]
DateTime = Annotated[str, Field(max_length=40), AfterValidator(_date_time)]
Text = Annotated[str, Field(max_length=253), AfterValidator(_not_blank)]
Ipv4 = Annotated[str, AfterValidator(_host_address)]
Mac = Annotated[str, AfterValidator(_mac_address)]
ContainerName = Annotated[
    Text,
    Field(max_length=fields.DEVICE_LENGTH),
    _matches(
        fields.DEVICE_ID,
        "must be a container name: a letter or digit, then at least one more letter, digit, '_', '.' or '-'",
    ),
]
InterfaceName = Annotated[
    Text,
    _matches(
        fields.PLAIN_NAME,
        "must be an interface name: at most 15 letters, digits, '_', '.' or '-'",
        fields.INTERFACE_LENGTH,
    ),
]
PortName = Annotated[
    Text,
    _matches(
        fields.PLAIN_NAME,
        "must be a port name: at most 63 letters, digits, '_', '.' or '-'",
        fields.PORT_LENGTH,
    ),
]
ParentInterface = Annotated[
    Text,
    _matches(
        fields.PARENT_INTERFACE,
        "must be the name of a host interface, at most 15 characters",
        fields.INTERFACE_LENGTH,
    ),
]
ImageTag = Annotated[
    Text,
    Field(max_length=128),
    _matches(fields.IMAGE_TAG, "must be an image tag such as v4.0.1"),
]
AbsolutePath = Annotated[
    Text,
    _matches(
        r"(/(?!\.{1,2}(/|$))[^:/\x00-\x1f\x7f]+)+/?",
        "must be an absolute path without ':', '.' and '..' such as /dev/ttyUSB0",
    ),
]

NodeName = Annotated[
    Text,
    _matches(fields.NODE_NAME, "must be a node name as shown by kubectl get edgenodes"),
]

OptionalIpv4 = Annotated[Ipv4 | None, BeforeValidator(_absent_when_empty)]
OptionalNodeName = Annotated[NodeName | None, BeforeValidator(_absent_when_empty)]
OptionalMac = Annotated[Mac | None, BeforeValidator(_absent_when_empty)]
OptionalText = Annotated[Text | None, BeforeValidator(_absent_when_empty)]
OptionalImageTag = Annotated[ImageTag | None, BeforeValidator(_absent_when_empty)]
OptionalParentInterface = Annotated[ParentInterface | None, BeforeValidator(_absent_when_empty)]

# A /31 or /32 has no host address apart from its network and broadcast address.
SHORTEST_PREFIX, LONGEST_PREFIX = 8, 30


def network_of(subnet: str, address: str | None) -> ipaddress.IPv4Network | None:
    """The network of ``192.168.1.0/24``, ``192.168.1.50/24``, or ``255.255.255.0`` with ``address``.

    None for a netmask without an address. Raises ValueError with a sentence about the field.
    """
    network = _in_cidr_form(subnet) if "/" in subnet else _of_netmask(subnet, address)
    if network and not SHORTEST_PREFIX <= network.prefixlen <= LONGEST_PREFIX:
        raise ValueError(f"must have a prefix from /{SHORTEST_PREFIX} to /{LONGEST_PREFIX}")
    return network


def host_fault(address: str, network: ipaddress.IPv4Network) -> str:
    """Why ``address`` cannot be a host in ``network``, as a sentence about the subnet, or ""."""
    host = ipaddress.IPv4Address(address)
    if host not in network:
        return f"must contain the address {address}"
    if host in (network.network_address, network.broadcast_address):
        return f"must not have {address} as its network or broadcast address"
    return ""


def _in_cidr_form(subnet: str) -> ipaddress.IPv4Network:
    address, _, prefix = subnet.partition("/")
    # After the slash, IPv4Network would also accept a netmask or a wildcard mask.
    if not prefix.isdecimal():
        raise ValueError("must be a subnet such as 192.168.1.0/24, or a netmask such as 255.255.255.0")
    return _parsed(f"{address}/{prefix}")


def _of_netmask(netmask: str, address: str | None) -> ipaddress.IPv4Network | None:
    mask = _parsed(f"0.0.0.0/{netmask}").netmask
    if str(mask) != netmask:  # the library also accepts the inverse, a wildcard mask
        raise ValueError("must be a netmask such as 255.255.255.0")
    return _parsed(f"{address}/{netmask}") if address else None


def _parsed(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError("must be a subnet such as 192.168.1.0/24, or a netmask such as 255.255.255.0") from None
