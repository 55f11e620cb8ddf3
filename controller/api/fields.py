"""Bounded field types shared by the models of the kinds.

Every string has a maximum length and every list a maximum size: the API server needs them to bound the cost of CEL
rules, and nothing that a person or the cloud writes may grow without bound.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

# Patterns that the contracts of the cloud and the settings share; the longest text that each allows is in its type.
PARENT_INTERFACE = r"[a-zA-Z0-9_.:-]+"  # "." and ":" name VLANs and aliases on the host
PLAIN_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]*"
DEVICE_ID = r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"  # container names that Docker accepts; need no escape in a selector
DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"  # RFC 1123
NODE_NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
IMAGE_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
INTERFACE_LENGTH = 15  # the kernel's limit (IFNAMSIZ)
PORT_LENGTH = 63
DEVICE_LENGTH = 128
DNS_LABEL_LENGTH = 63

# No leading zeros: some parsers take such a number as octal.
IPV4_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4_PATTERN = rf"^{IPV4_OCTET}(\.{IPV4_OCTET}){{3}}$"

Text = Annotated[str, Field(max_length=1024)]
ShortText = Annotated[str, Field(max_length=253)]
Ipv4 = Annotated[str, Field(max_length=15, pattern=IPV4_PATTERN)]
Subnet = Annotated[str, Field(max_length=18, pattern=rf"{IPV4_PATTERN[:-1]}/([89]|[12][0-9]|30)$")]
# An even first octet: an odd one is the address of a group (IEEE 802).
MacAddress = Annotated[str, Field(max_length=17, pattern=r"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$")]
ParentInterface = Annotated[str, Field(min_length=1, max_length=INTERFACE_LENGTH, pattern=f"^{PARENT_INTERFACE}$")]
InterfaceName = Annotated[str, Field(min_length=1, max_length=INTERFACE_LENGTH, pattern=f"^{PLAIN_NAME}$")]
PortName = Annotated[str, Field(min_length=1, max_length=PORT_LENGTH, pattern=f"^{PLAIN_NAME}$")]
DeviceId = Annotated[str, Field(min_length=2, max_length=DEVICE_LENGTH, pattern=f"^{DEVICE_ID}$")]
EnvName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")]
# A colon separates the parts of a bind in the API of Docker.
AbsolutePath = Annotated[str, Field(min_length=2, max_length=255, pattern=r"^/[^:]*$")]
ObjectName = Annotated[str, Field(min_length=1, max_length=DNS_LABEL_LENGTH, pattern=f"^{DNS_LABEL}$")]
# Repository with an optional registry host and port, without tag or digest (distribution reference grammar).
ImageRepository = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9.-]*(:[0-9]{1,5})?/)?[a-z0-9._/-]*$",
    ),
]
ImageTag = Annotated[str, Field(min_length=1, max_length=128, pattern=f"^{IMAGE_TAG}$")]
ImageDigest = Annotated[str, Field(max_length=71, pattern=r"^sha256:[0-9a-f]{64}$")]
CpuQuantity = Annotated[str, Field(max_length=16, pattern=r"^([0-9]{1,4}(\.[0-9]{1,3})?|[0-9]{1,7}m)$")]
MemoryQuantity = Annotated[str, Field(max_length=20, pattern=r"^[1-9][0-9]{0,14}(Ki|Mi|Gi|k|M|G)?$")]
