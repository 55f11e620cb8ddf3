"""``get_consumption_device`` and ``get_consumption_orchestrator``: limits, host facts and usage curves. Read-only."""

from __future__ import annotations

import asyncio
from typing import Any

from controller import quantities
from controller.cloud.answers import Answer
from controller.cloud.commands.devices import Devices
from controller.cloud.contracts.queries import GetConsumptionDevice, GetConsumptionOrchestrator
from controller.node_api import aggregation
from controller.node_api.node import NodeDirectory, Usage

MIB = 1 << 20
GIB = 1 << 30


class Consumption:
    """CPU is in percent, memory in MB of 2^20 bytes, disk in GB of 2^30."""

    def __init__(self, devices: Devices, nodes: NodeDirectory) -> None:
        self._devices = devices
        self._nodes = nodes

    async def of_device(self, message: GetConsumptionDevice) -> Answer:
        """The limits and past usage of a device."""
        runtime = await self._devices.get(message.device_id)
        node = await self._nodes.node_of(runtime)
        usage = await node.device_usage(
            runtime["metadata"]["namespace"], message.device_id, message.cpu_period, message.memory_period
        )
        limits: dict[str, Any] = runtime["spec"].get("resources") or {}
        return {
            "status": "success",
            "device_id": message.device_id,
            "cpu": cpu_limit(limits.get("cpu")),
            "memory": memory_limit(limits.get("memory")),
            **_curves(usage),
        }

    async def of_orchestrator(self, message: GetConsumptionOrchestrator) -> Answer:
        """The combined facts and past usage of all hosts; hosts that do not answer are left out."""
        nodes = (await self._nodes.available()).values()
        cpu, memory = message.cpu_period, message.memory_period
        found = await aggregation.gather_answers(
            asyncio.gather(node.host_facts(), node.host_usage(cpu, memory)) for node in nodes
        )
        facts = aggregation.facts([facts for facts, _ in found])
        usage = aggregation.usage([(facts.cpu_count, usage) for facts, usage in found])
        return {
            "status": "success",
            "ip_addresses": [{"interface": name, "ip_address": address} for name, address in facts.addresses],
            "memory": facts.memory_total // MIB,
            "cpu": facts.cpu_count,
            "os": facts.os,
            "kernel": facts.kernel,
            "disk": round(facts.disk_total / GIB, 1),
            **_curves(usage),
        }


def cpu_limit(quantity: str | None) -> str:
    """Format a CPU quantity ("2", "0.5", "500m") for the cloud: "2.0 vCPU"."""
    if not quantity:
        return "unlimited"
    return f"{quantities.nano_cpus(quantity) / 10**9} vCPU"


def memory_limit(quantity: str | None) -> str:
    """Format a memory quantity ("512Mi", "1G", bytes) for the cloud: "512 MB"."""
    if not quantity:
        return "unlimited"
    return f"{round(quantities.memory_bytes(quantity) / MIB)} MB"


def _curves(usage: Usage) -> Answer:
    return {
        "cpu_usage": [{"timestamp": point.timestamp, "cpu": round(point.value, 2)} for point in usage.cpu],
        "memory_usage": [{"timestamp": point.timestamp, "memory": round(point.value, 1)} for point in usage.memory],
    }
