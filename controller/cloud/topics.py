"""The table of topics. To add one: add a row here, a contract, and golden files in tests/cloud/contracts."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from controller.cloud.answers import Answer
from controller.cloud.commands.command import Semantics
from controller.cloud.commands.consumption import Consumption
from controller.cloud.commands.devices import Devices
from controller.cloud.commands.forwarding import Forwarding, Reads
from controller.cloud.commands.hardware import Hardware
from controller.cloud.commands.lifecycle import Lifecycle
from controller.cloud.commands.power import Power
from controller.cloud.commands.retirement import Retirement
from controller.cloud.commands.specs import Blueprint
from controller.cloud.commands.status import DeviceStatus
from controller.cloud.contracts.base import DeviceMessage, Message
from controller.cloud.contracts.bounds import LARGE, SMALL
from controller.cloud.contracts.commands import RunCommand
from controller.cloud.contracts.queries import GetConsumptionDevice, GetConsumptionOrchestrator, GetHostInterfaces
from controller.cloud.contracts.runtimes import CreateNewRuntime
from controller.machinery.client import ApiClient
from controller.node_api.node import NodeDirectory


class Read(NamedTuple):
    """Marks some messages of a topic as read-only, by their content, with the command that answers them."""

    matches: Callable[[Any], bool]
    command: Callable[[Any], Awaitable[Answer]]


class Topic(NamedTuple):
    """One row. ``command`` takes the message and, unless it is a query, the Call."""

    name: str
    contract: type[Message]
    command: Callable[..., Awaitable[Answer]]
    semantics: Semantics
    limit: int = SMALL  # characters of text in the payload
    read: Read | None = None


@dataclass(frozen=True)
class Commands:
    """The implementations of all topics."""

    lifecycle: Lifecycle
    power: Power
    forwarding: Forwarding
    status: DeviceStatus
    consumption: Consumption
    hardware: Hardware
    retirement: Retirement

    @classmethod
    def build(
        cls,
        api: ApiClient,
        devices: Devices,
        nodes: NodeDirectory,
        retirement: Retirement,
        blueprint: Blueprint,
        reads: Reads,
        seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> Commands:
        """Build all of them; ``seconds`` is the time limit for an answer."""
        return cls(
            lifecycle=Lifecycle(api, devices, blueprint, nodes, retirement.in_progress),
            power=Power(api, devices),
            forwarding=Forwarding(devices, nodes, reads, seconds),
            status=DeviceStatus(devices, nodes, retirement.progress, clock),
            consumption=Consumption(devices, nodes),
            hardware=Hardware(devices, nodes),
            retirement=retirement,
        )


def table(commands: Commands) -> tuple[Topic, ...]:
    """All topics of the protocol."""
    read = Read(commands.forwarding.is_read, commands.forwarding.read)
    return (
        Topic("create_new_runtime", CreateNewRuntime, commands.lifecycle.create, Semantics.ATOMIC),
        # A start that waits for a runtime which never becomes ready must not delay its deletion.
        Topic("delete_device", DeviceMessage, commands.lifecycle.delete, Semantics.SUPERSEDING),
        Topic("start_device", DeviceMessage, commands.power.start, Semantics.ATOMIC),
        Topic("stop_device", DeviceMessage, commands.power.stop, Semantics.ATOMIC),
        Topic("restart_device", DeviceMessage, commands.power.restart, Semantics.ATOMIC),
        Topic("run_command", RunCommand, commands.forwarding.run, Semantics.AT_MOST_ONCE, LARGE, read),
        Topic("get_device_status", DeviceMessage, commands.status.get, Semantics.QUERY),
        Topic("get_consumption_device", GetConsumptionDevice, commands.consumption.of_device, Semantics.QUERY),
        Topic(
            "get_consumption_orchestrator",
            GetConsumptionOrchestrator,
            commands.consumption.of_orchestrator,
            Semantics.QUERY,
        ),
        Topic("get_host_interfaces", GetHostInterfaces, commands.hardware.interfaces, Semantics.QUERY),
        Topic("get_serial_devices", Message, commands.hardware.serial_devices, Semantics.QUERY),
        Topic("delete_orchestrator", Message, commands.retirement.delete_orchestrator, Semantics.IDEMPOTENT),
    )
