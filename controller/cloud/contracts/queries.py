"""Messages of topics that only read."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator

from controller.cloud.contracts import base
from controller.cloud.contracts.faults import fault
from controller.node_api import periods


def _period(value: Any) -> periods.Period:
    if not isinstance(value, str):
        raise fault("must be a string")
    try:
        return periods.parse(value)
    except ValueError as error:
        raise fault(str(error)) from None


Period = Annotated[periods.Period, PlainValidator(_period)]


class GetConsumptionOrchestrator(base.Message):
    """CPU and memory of the host, each over a period."""

    cpu_period: Period = Field(alias="cpuPeriod")
    memory_period: Period = Field(alias="memoryPeriod")


class GetConsumptionDevice(base.DeviceMessage):
    """CPU and memory of one runtime, each over a period."""

    cpu_period: Period = Field(alias="cpuPeriod")
    memory_period: Period = Field(alias="memoryPeriod")


class GetHostInterfaces(base.Message):
    """The host's network interfaces; ``include_virtual`` adds bridges, veths and so on."""

    include_virtual: bool | None = None
    detailed: bool | None = None
