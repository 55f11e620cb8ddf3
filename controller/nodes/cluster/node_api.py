"""What a leader may ask a node over HTTPS, and how it travels: one POST a question, JSON both ways.

The table is cloud.node.Node's: a question there is a row here. No I/O.
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
LIMIT = 16 << 20  # bytes of a question: run_command carries up to 8 MiB of text, and base64 of files

_AS_BASE64 = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", extra="forbid", allow_inf_nan=False)
_PERIOD = (Last | Between, ...)
_TEXT = (str, ...)


@dataclass(frozen=True)
class Question:
    """``name`` is that of the method of cloud.node.Node."""

    name: str
    parameters: Any  # a pydantic model made below
    result: TypeAdapter[Any]

    @classmethod
    def of(cls, name: str, result: Any, /, **parameters: Any) -> Question:
        """``parameters`` by name: type and default, as pydantic takes them."""
        return cls(name, create_model(name, __config__=_AS_BASE64, **parameters), TypeAdapter(result))


TABLE = {
    question.name: question
    for question in (
        Question.of("reading", Reading),
        Question.of("host_facts", HostFacts),
        Question.of("host_usage", Usage, cpu=_PERIOD, memory=_PERIOD),
        Question.of("device_usage", Usage, namespace=_TEXT, device_id=_TEXT, cpu=_PERIOD, memory=_PERIOD),
        Question.of("interfaces", list[HostInterface], include_virtual=(bool, ...)),
        Question.of("serial_devices", list[SerialDevice]),
        Question.of("request", HttpResponse, request=(HttpRequest, ...), seconds=(float, ...)),
        Question.of("foreign_container", str, name=_TEXT),
    )
}
