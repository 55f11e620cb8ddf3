"""The serial ports of a runtime: which device each one is now, who has it, and its node in the container."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable

from controller.backends.base import Identity, ObservedDevice, Target
from controller.backends.docker.containers import Container, Containers
from controller.devices import nodes, serial
from controller.devices.serial import SerialDevice
from controller.resources import reasons, runtimes

# ttyUSB, ttyACM, ttyAMA and ttyS (kernel: devices.txt). Engines take rules at creation only, so every container has
# these; the device node itself comes later.
_MAJORS = (188, 166, 204, 4)


class Ports:
    """``devices`` tells which devices the host has now."""

    def __init__(self, containers: Containers, devices: Callable[[], tuple[SerialDevice, ...]]) -> None:
        self._containers = containers
        self._devices = devices
        self._held: dict[Identity, frozenset[str]] = {}

    def rules(self, spec: runtimes.RuntimeSpec) -> list[str]:
        """The cgroup rules of a container that is made now (API reference: DeviceCgroupRules)."""
        found = (serial.find(self._devices(), port.device_id) for port in spec.serial_ports)
        majors = [*_MAJORS, *(os.major(device.number) for device in found if device)]
        return [f"c {major}:* rw" for major in dict.fromkeys(majors)]

    def forget(self, whose: Identity) -> None:
        """The runtime is gone, and its devices are free."""
        self._held.pop(whose, None)

    async def observe(self, target: Target, container: Container | None) -> tuple[ObservedDevice, ...]:
        """How each port stands; without a running container only which devices are missing."""
        if not target.spec.serial_ports:
            self.forget(target.identity)
            return ()
        running = container if container is not None and container.state["Status"] == "running" else None
        seen = await asyncio.to_thread(lambda: [self._seen(target, running, port) for port in target.spec.serial_ports])
        self._note(target, seen)
        return tuple(seen)

    async def attach(self, target: Target) -> None:
        """Place and remove nodes. Raises errors.Retry(STEP_FAILED)."""
        container = await self._containers.require(target.identity)
        await asyncio.to_thread(self._attach, target, container)

    def _attach(self, target: Target, container: Container) -> None:
        for port in target.spec.serial_ports:
            device = serial.find(self._devices(), port.device_id)
            if device is None:
                nodes.remove(container.process, port.container_path)
            elif not self._obstacle(target, container, device):
                nodes.place(container.process, port.container_path, device)

    def _seen(self, target: Target, container: Container | None, port: runtimes.SerialPort) -> ObservedDevice:
        device = serial.find(self._devices(), port.device_id)
        if device is None:
            return self._missing(container, port)
        awaits, detail = self._obstacle(target, container, device) or ("", "")
        if not detail and container and nodes.stands(container.process, port.container_path) != device.number:
            detail = f"{port.container_path} is not there"
        return ObservedDevice(port.name, device.path, not detail, detail, awaits, port.required)

    def _missing(self, container: Container | None, port: runtimes.SerialPort) -> ObservedDevice:
        if container and nodes.stands(container.process, port.container_path) is not None:
            detail = f"{port.container_path} is of a device that is gone"
            return ObservedDevice(port.name, "", in_order=False, detail=detail, required=port.required)
        detail = f"{port.device_id} is not plugged in"
        return ObservedDevice(port.name, "", False, detail, reasons.DEVICE_MISSING, port.required)

    def _obstacle(self, target: Target, container: Container | None, device: SerialDevice) -> tuple[str, str] | None:
        """Reason and sentence why the runtime cannot have the device."""
        holders = (other.device_id for other, held in self._held.items() if device.device_id in held)
        others = (holder for holder in holders if holder != target.identity.device_id)
        if holder := next(others, ""):
            return reasons.DEVICE_IN_USE, f"{holder} has {device.device_id}: take it from there or choose another"
        if container and not _allowed(container.host_config.get("DeviceCgroupRules") or (), os.major(device.number)):
            message = f"the container was made without {device.path}: delete the Runtime and create it again"
            return reasons.DEVICES_UNSUPPORTED, message
        return None

    def _note(self, target: Target, seen: Iterable[ObservedDevice]) -> None:
        """A device belongs to who has its node; who only wishes for it must not keep it from others."""
        devices = self._devices()
        names = {port.name: port.device_id for port in target.spec.serial_ports}
        found = (serial.find(devices, names[each.name]) for each in seen if each.in_order and each.path)
        self._held[target.identity] = frozenset(device.device_id for device in found if device)


def _allowed(rules: Iterable[str], major: int) -> bool:
    return any(rule.startswith((f"c {major}:", "c *:", "a ")) for rule in rules)
