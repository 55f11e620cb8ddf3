"""The node in this process: answers queries from the sampler, the host's interfaces, the backend and the proxy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import psutil

from controller import boottime
from controller.devices.serial_device import SerialDevice
from controller.metrics import host
from controller.metrics.history import Sample
from controller.metrics.sampler import Sampler
from controller.network.interfaces import HostInterface, HostInterfaces, may_be_parent, of_host
from controller.node_api import periods
from controller.node_api.node import HostFacts, HttpRequest, HttpResponse, Point, Reading, Usage
from controller.node_api.periods import Period
from controller.nodes.proxy import Proxy


class LocalNode:
    """Implements node_api.node.Node.

    ``foreign_container`` is the backend's; ``passthrough`` returns the host's interfaces that are in containers.
    """

    def __init__(
        self,
        sampler: Sampler,
        interfaces: HostInterfaces,
        proxy: Proxy,
        foreign_container: Callable[[str], Awaitable[str]],
        passthrough: Callable[[], Awaitable[Sequence[HostInterface]]],
        serial_devices: Callable[[], Sequence[SerialDevice]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sampler = sampler
        self._interfaces = interfaces
        self._proxy = proxy
        self._foreign_container = foreign_container
        self._passthrough = passthrough
        self._serial_devices = serial_devices
        self._clock = clock
        self._cpu_count = psutil.cpu_count(logical=True) or 1

    async def reading(self) -> Reading:
        """The sampler's last reading, with the current uptime."""
        # The reading may be seconds old: a container that has just started would seem to start after it.
        return Reading(replace(self._sampler.host, uptime=int(boottime.now())), self._cpu_count)

    async def host_facts(self) -> HostFacts:
        """What the host is; the addresses are those by which it is reached."""
        facts, interfaces = await asyncio.gather(asyncio.to_thread(host.facts), self.own_interfaces())
        reading = self._sampler.host
        addresses = [(interface.name, address) for interface in interfaces for address in interface.ipv4_addresses]
        return HostFacts(facts.os, facts.kernel, facts.cpu_count, reading.memory_total, reading.disk_total, addresses)

    async def host_usage(self, cpu: Period, memory: Period) -> Usage:
        """From the sampler's history."""
        return self._usage(self._sampler.host_usage, cpu, memory)

    async def device_usage(self, namespace: str, device_id: str, cpu: Period, memory: Period) -> Usage:
        """From the sampler's history, which outlives the container."""
        key = device_key(namespace, device_id)
        return self._usage(lambda start, end: self._sampler.device_usage(key, start, end), cpu, memory)

    async def interfaces(self, *, include_virtual: bool) -> Sequence[HostInterface]:
        """The host's current interfaces, including those in containers."""
        found, passthrough = await asyncio.gather(
            asyncio.to_thread(self._interfaces.snapshot, include_virtual=include_virtual), self._passthrough()
        )
        return [*found, *(each for each in passthrough if include_virtual or may_be_parent(each.kind))]

    async def own_interfaces(self) -> Sequence[HostInterface]:
        """The interfaces by which the host itself is reached: parents, and a bridge that replaces one."""
        return of_host(await self.interfaces(include_virtual=True))

    async def serial_devices(self) -> Sequence[SerialDevice]:
        """The host's serial devices, at most a second old."""
        return self._serial_devices()

    async def request(self, request: HttpRequest, seconds: float) -> HttpResponse:
        """Through the proxy."""
        return await self._proxy.send(request, seconds)

    async def foreign_container(self, name: str) -> str:
        """From the backend."""
        return await self._foreign_container(name)

    def _usage(self, history: Callable[[float, float], list[Sample]], cpu: Period, memory: Period) -> Usage:
        now = self._clock()
        return Usage(
            cpu=[Point(sample.timestamp, sample.cpu) for sample in history(*periods.bounds(cpu, now))],
            memory=[Point(sample.timestamp, sample.memory) for sample in history(*periods.bounds(memory, now))],
        )


def device_key(namespace: str, device_id: str) -> str:
    """The sampler's key of a runtime: does not change when it is deleted and created again."""
    return f"{namespace}/{device_id}"
