"""The serial ports of a runtime: which device each one is now, who has it, and its node in the container."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from controller.api import reasons, runtimes
from controller.backends.base import Identity, ObservedDevice, Target
from controller.backends.docker.containers import labels
from controller.backends.docker.containers.inventory import Container, Containers
from controller.backends.docker.devices import cgroup_rules
from controller.devices import nodes, serial
from controller.devices.serial import SerialDevice

_NEW_CONTAINER = (
    "the container was made without the right to open {}: the next restart that is asked for (restart_device, "
    "spec.restartedAt) puts a new container in its place"
)


class SerialPorts:
    """``devices`` tells which devices the host has now."""

    def __init__(self, containers: Containers, devices: Callable[[], tuple[SerialDevice, ...]]) -> None:
        self._containers = containers
        self._devices = devices
        self._held: dict[Identity, frozenset[str]] = {}
        self._placed: dict[Identity, set[str]] = {}

    def rules(self, spec: runtimes.RuntimeSpec) -> list[str]:
        """The cgroup rules of a container that is made now (API reference: DeviceCgroupRules)."""
        return cgroup_rules.of(spec.serial_ports, self._devices())

    def forget(self, identity: Identity) -> None:
        """The runtime is gone, and its devices are free."""
        self._held.pop(identity, None)
        self._placed.pop(identity, None)

    async def observe(self, target: Target, container: Container | None) -> tuple[ObservedDevice, ...]:
        """How each port stands; without a running container only what keeps it from having its device."""
        seen = await asyncio.to_thread(
            lambda: [self._seen(target, container, port) for port in target.spec.serial_ports]
        )
        self._note(target, seen)
        return (*seen, *await asyncio.to_thread(self._former, target, container))

    async def attach(self, target: Target) -> None:
        """Place and remove nodes. Raises errors.Retry(STEP_FAILED)."""
        container = await self._containers.require(target.identity)
        await asyncio.to_thread(self._attach, target, container)

    def _attach(self, target: Target, container: Container) -> None:
        for former in self._former(target, container):
            nodes.remove(container.process, former.name)
        for port in target.spec.serial_ports:
            device = serial.find(self._devices(), port.device_id)
            if device is None:
                nodes.remove(container.process, port.container_path)
            elif not self._obstacle(target, container, port, device):
                nodes.place(container.process, port.container_path, device)
                self._placed.setdefault(target.identity, set()).add(port.container_path)

    def _former(self, target: Target, container: Container | None) -> list[ObservedDevice]:
        """Nodes that the runtime still has of ports that the spec has no more, by their paths."""
        if container is None or container.state["Status"] != "running":
            return []
        made_from = labels.made_from(container.labels)
        known = {port.container_path for port in made_from.serial_ports} if made_from else set()
        known |= self._placed.get(target.identity, set())
        former = known - {port.container_path for port in target.spec.serial_ports}
        found = [path for path in sorted(former) if nodes.find_node(container.process, path) is not None]
        return [ObservedDevice(path, "", in_order=False, detail="it is not in the spec any more") for path in found]

    def _seen(self, target: Target, container: Container | None, port: runtimes.SerialPort) -> ObservedDevice:
        device = serial.find(self._devices(), port.device_id)
        awaits, detail = self._obstacle(target, container, port, device) or ("", "")
        if not awaits and container and container.state["Status"] == "running":
            detail = _node_fault(container, port, device)
        if not detail and device is None:
            awaits, detail = reasons.DEVICE_MISSING, f"{port.device_id} is not plugged in"
        path = device.path if device else ""
        needs_new_container = awaits == reasons.DEVICES_UNSUPPORTED
        return ObservedDevice(
            port.name, path, not detail, detail, awaits, port.required, needs_new_container=needs_new_container
        )

    def _obstacle(
        self, target: Target, container: Container | None, port: runtimes.SerialPort, device: SerialDevice | None
    ) -> tuple[str, str] | None:
        """Reason and sentence why the runtime cannot have the device, now or when it is there."""
        holders = (other.device_id for other, held in self._held.items() if device and device.device_id in held)
        others = (holder for holder in holders if holder != target.identity.device_id)
        if device and (holder := next(others, "")):
            return reasons.DEVICE_IN_USE, f"{holder} has {device.device_id}: take it from there or choose another"
        rules = container.host_config.get("DeviceCgroupRules") or () if container else ()
        if container and not cgroup_rules.allow(rules, device):
            return reasons.DEVICES_UNSUPPORTED, _NEW_CONTAINER.format(device.path if device else port.device_id)
        return None

    def _note(self, target: Target, seen: Iterable[ObservedDevice]) -> None:
        """A device belongs to who has its node; who only wishes for it must not keep it from others."""
        devices = self._devices()
        names = {port.name: port.device_id for port in target.spec.serial_ports}
        found = (serial.find(devices, names[each.name]) for each in seen if each.in_order and each.path)
        self._held[target.identity] = frozenset(device.device_id for device in found if device)


def _node_fault(container: Container, port: runtimes.SerialPort, device: SerialDevice | None) -> str:
    """What is wrong with the node in a running container, "" for nothing."""
    found = nodes.find_node(container.process, port.container_path)
    if device is None:
        return f"{port.container_path} is of a device that is gone" if found is not None else ""
    return "" if found == device.number else f"{port.container_path} is not there"
