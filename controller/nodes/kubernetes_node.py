"""Publishes this host's Node on the embedded API, for clients that expect one (API reference: Node).

Never used with a cluster, where the kubelet writes it. The Node says no more than the EdgeNode.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
from collections.abc import Sequence
from typing import Any

from controller import errors
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.conditions import Condition
from controller.metrics import host
from controller.network.interfaces import HostInterface

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}  # Kubernetes' names
HEARTBEAT_SECONDS = 3600.0  # nobody judges this node by it, and every write costs an SD card a dozen kilobytes


class KubernetesNode:
    """Maintains the Node ``name``. Raises errors.ApiError."""

    def __init__(self, api: ApiClient, name: str, version: str) -> None:
        self._api = api
        self._name = name
        self._version = version
        self._last: dict[str, Any] = {}  # what was written, without the heartbeat
        self._written = float("-inf")  # on the monotonic clock of the loop

    async def write(
        self, ready: Condition, heartbeat: str, reading: host.HostReading, interfaces: Sequence[HostInterface]
    ) -> None:
        """Write its status if it has changed or was written an hour ago; ``heartbeat`` is the time, as RFC 3339."""
        status, now = await self._status(ready, reading, interfaces), asyncio.get_running_loop().time()
        if status == self._last and now - self._written < HEARTBEAT_SECONDS:
            return
        await self._write({**status, "conditions": [{**ready.wire(), "lastHeartbeatTime": heartbeat}]})
        self._last, self._written = status, now

    async def _status(
        self, ready: Condition, reading: host.HostReading, interfaces: Sequence[HostInterface]
    ) -> dict[str, Any]:
        facts = await asyncio.to_thread(host.facts)
        size = {"cpu": str(facts.cpu_count), "memory": f"{reading.memory_total >> 10}Ki"}
        return {
            "conditions": [ready.wire()],
            "addresses": [*_addresses(interfaces), {"type": "Hostname", "address": platform.node()}],
            "capacity": size,
            "allocatable": size,
            "nodeInfo": self._info(facts),
        }

    async def _write(self, status: dict[str, Any]) -> None:
        try:
            await self._api.patch(core_kinds.NODES, self._name, "", {"status": status}, subresource="status")
        except errors.NotFoundError:
            with contextlib.suppress(errors.AlreadyExistsError):
                await self._api.create(core_kinds.NODES, {"metadata": {"name": self._name, "labels": self._labels()}})
            await self._api.patch(core_kinds.NODES, self._name, "", {"status": status}, subresource="status")

    def _labels(self) -> dict[str, str]:
        system = {"kubernetes.io/os": "linux", "kubernetes.io/arch": _architecture()}
        # The value of a label has at most 63 characters and ends with a letter or digit.
        return {"kubernetes.io/hostname": platform.node()[:63].rstrip("-."), **system}

    def _info(self, facts: host.HostFacts) -> dict[str, Any]:
        node_info = {"operatingSystem": "linux", "architecture": _architecture(), "osImage": facts.os}
        # The API reference requires these fields of NodeSystemInfo.
        unknown = dict.fromkeys(("machineID", "systemUUID", "bootID", "kubeProxyVersion"), "")
        versions = {"kernelVersion": facts.kernel, "kubeletVersion": f"edge-controller {self._version}"}
        return {**unknown, **node_info, **versions, "containerRuntimeVersion": "docker://"}


def _architecture() -> str:
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def _addresses(interfaces: Sequence[HostInterface]) -> list[dict[str, str]]:
    found = [interface.ip_address for interface in interfaces if interface.ip_address]
    return [{"type": "InternalIP", "address": address} for address in dict.fromkeys(found)]
