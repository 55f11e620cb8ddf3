"""The queries a leader sends to a node over HTTPS: one POST per query, JSON in both directions.

The table mirrors cloud.node.Node: one row for each method. No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter, create_model

from controller.cloud.contracts.periods import Between, Last
from controller.cloud.node import HostFacts, HttpRequest, HttpResponse, Reading, Usage
from controller.devices.serial import SerialDevice
from controller.network.interfaces import HostInterface

PATH = "/v1/"
LIMIT = 16 << 20  # bytes of a query: run_command carries up to 8 MiB of text, and files as base64

_AS_BASE64 = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", extra="forbid", allow_inf_nan=False)
_PERIOD = (Last | Between, ...)
_TEXT = (str, ...)


@dataclass(frozen=True)
class Query:
    """``name`` is the name of the method of cloud.node.Node."""

    name: str
    parameters: Any  # a pydantic model made below
    result: TypeAdapter[Any]

    @classmethod
    def of(cls, name: str, result: Any, /, **parameters: Any) -> Query:
        """``parameters`` are pydantic field definitions: (type, default) by name."""
        return cls(name, create_model(name, __config__=_AS_BASE64, **parameters), TypeAdapter(result))


TABLE = {
    query.name: query
    for query in (
        Query.of("reading", Reading),
        Query.of("host_facts", HostFacts),
        Query.of("host_usage", Usage, cpu=_PERIOD, memory=_PERIOD),
        Query.of("device_usage", Usage, namespace=_TEXT, device_id=_TEXT, cpu=_PERIOD, memory=_PERIOD),
        Query.of("interfaces", list[HostInterface], include_virtual=(bool, ...)),
        Query.of("serial_devices", list[SerialDevice]),
        Query.of("request", HttpResponse, request=(HttpRequest, ...), seconds=(float, ...)),
        Query.of("foreign_container", str, name=_TEXT),
    )
}
