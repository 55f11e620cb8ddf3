"""Maps a runtime's serial ports to the host's devices, tracks who uses each, and places nodes in the container."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from controller.api import reasons, runtimes
from controller.backends import base
from controller.backends.base import Identity, Target
from controller.backends.docker.containers.inventory import Container, Containers
from controller.backends.docker.containers.observation import Facet
from controller.backends.docker.devices import cgroup_rules
from controller.backends.observation import Observed, ObservedDevice
from controller.devices import nodes, serial_device
from controller.devices.serial_device import SerialDevice

_NEW_CONTAINER = (
    "the container was created without permission to open {}: request a restart (restart_device, spec.restartedAt), "
    "which replaces the container"
)


class _Checked(NamedTuple):
    """A port of the spec with its device, if that is plugged in, and with reason and message of what blocks it.

    ``remark`` is a message about a port that nothing blocks.
    """

    port: runtimes.SerialPort
    device: SerialDevice | None
    blocker: tuple[str, str] | None
    remark: str = ""


class SerialPorts(Facet):
    """``devices`` returns the host's current devices."""

    def __init__(self, containers: Containers, devices: Callable[[], tuple[SerialDevice, ...]]) -> None:
        self._containers = containers
        self._devices = devices
        self._held: dict[Identity, frozenset[int]] = {}  # device numbers: an id may turn out to be no proof
        self._placed: dict[Identity, dict[str, SerialDevice]] = {}  # by their path in the container

    def rules(self, spec: runtimes.RuntimeSpec) -> list[str]:
        """The cgroup rules for a new container (API reference: DeviceCgroupRules)."""
        return cgroup_rules.of(spec.serial_ports, self._devices())

    def forget(self, identity: Identity) -> None:
        """Release the devices of a removed runtime."""
        self._held.pop(identity, None)
        self._placed.pop(identity, None)

    async def observe(self, target: Target, container: Container | None, observed: Observed) -> Observed:
        """Add the state of each port; without a running container only what blocks access to its device."""
        await self._recall(target, container)
        checked, former = self._check(target, container), self._former_paths(target, container)
        # Most runtimes have no port and never had one: a thread would find nothing.
        if not checked and not former:
            return observed
        seen, removed = await asyncio.to_thread(
            lambda: ([_observe_port(container, one) for one in checked], _removed_nodes(container, former))
        )
        self._held[target.identity] = _held(checked, seen)
        return replace(observed, devices=(*seen, *removed))

    async def attach(self, target: Target) -> None:
        """Place the nodes of plugged-in devices and remove all others. Raises errors.Retry(STEP_FAILED)."""
        container = await self._containers.require(target.identity)
        await self._recall(target, container)
        await asyncio.to_thread(self._attach, target, container, self._check(target, container))

    def _attach(self, target: Target, container: Container, checked: Iterable[_Checked]) -> None:
        for former in _removed_nodes(container, self._former_paths(target, container)):
            nodes.remove(container.process, former.name)
        for port, device, blocker, _ in checked:
            if device is None:
                nodes.remove(container.process, port.container_path)
            elif not blocker:
                nodes.place(container.process, port.container_path, device)
                self._placed.setdefault(target.identity, {})[port.container_path] = device

    def _check(self, target: Target, container: Container | None) -> list[_Checked]:
        """The ports with what blocks their devices; reserves the devices that nothing blocks.

        Both in the event loop without an await in between, so that of two runtimes the second finds the reservation.
        """
        checked = [self._checked(target, container, port) for port in target.spec.serial_ports]
        free = (one.device for one in checked if not one.blocker)
        self._held[target.identity] = frozenset(device.number for device in free if device)
        return checked

    def _checked(self, target: Target, container: Container | None, port: runtimes.SerialPort) -> _Checked:
        devices, remark = self._devices(), ""
        device = serial_device.find(devices, port.device_id)
        if device is None and (twins := serial_device.find_sharing(devices, port.device_id)):
            remark = _ambiguity(port, twins)
            device = _at_same_place(twins, self._placed.get(target.identity, {}).get(port.container_path))
            if device is None:
                return _Checked(port, None, (reasons.DEVICE_AMBIGUOUS, remark))
        return _Checked(port, device, self._blocker(target, container, port, device), remark)

    async def _recall(self, target: Target, container: Container | None) -> None:
        """Learn which of equal devices a port has since before we were started, from its node in the container."""
        if container is None or container.state["Status"] != "running":
            return
        placed = self._placed.get(target.identity, {})
        for port in target.spec.serial_ports:
            twins = serial_device.find_sharing(self._devices(), port.device_id)
            if twins and port.container_path not in placed:
                number = await asyncio.to_thread(nodes.find_node, container.process, port.container_path)
                if found := [device for device in twins if device.number == number]:
                    self._placed.setdefault(target.identity, {})[port.container_path] = found[0]

    def _former_paths(self, target: Target, container: Container | None) -> list[str]:
        """Where a running container may have nodes of ports that were removed from the spec."""
        if container is None or container.state["Status"] != "running":
            return []
        made_from = base.made_from(container.labels)
        known = {port.container_path for port in made_from.serial_ports} if made_from else set()
        # The label has the ports of the creation; ports that were added in place since are only known here.
        known |= self._placed.get(target.identity, {}).keys()
        return sorted(known - {port.container_path for port in target.spec.serial_ports})

    def _blocker(
        self, target: Target, container: Container | None, port: runtimes.SerialPort, device: SerialDevice | None
    ) -> tuple[str, str] | None:
        """Reason and message why the runtime cannot use the device, even once it is plugged in."""
        holders = (other.device_id for other, held in self._held.items() if device and device.number in held)
        others = (holder for holder in holders if holder != target.identity.device_id)
        if device and (holder := next(others, "")):
            return (
                reasons.DEVICE_IN_USE,
                f"{holder} uses {device.device_id}: remove it from there or choose another device",
            )
        rules = container.host_config.get("DeviceCgroupRules") or () if container else ()
        if container and not cgroup_rules.allow(rules, device):
            return reasons.DEVICES_UNSUPPORTED, _NEW_CONTAINER.format(device.path if device else port.device_id)
        return None


def _removed_nodes(container: Container | None, former: Iterable[str]) -> list[ObservedDevice]:
    """The nodes that exist at these paths; their names are paths."""
    found = [path for path in former if container and nodes.find_node(container.process, path) is not None]
    return [ObservedDevice(path, "", in_order=False, detail="it is no longer in the spec") for path in found]


def _ambiguity(port: runtimes.SerialPort, twins: Iterable[SerialDevice]) -> str:
    names = " or ".join(device.device_id for device in twins)
    return f"{port.device_id} is the name of equal devices: request {names}, which is the name of its port"


def _at_same_place(twins: Iterable[SerialDevice], placed: SerialDevice | None) -> SerialDevice | None:
    """The one of equal devices that is plugged in where the port's device was, if only one is."""
    found = [one for one in twins if placed and (one.usb_id, one.place) == (placed.usb_id, placed.place)]
    return found[0] if len(found) == 1 else None


def _observe_port(container: Container | None, checked: _Checked) -> ObservedDevice:
    port, device, blocker, remark = checked
    awaits, detail = blocker or ("", "")
    is_running = container is not None and container.state["Status"] == "running"
    # A stale node is reported first: its removal is our repair, while a missing device can only be waited for.
    if container and is_running and (not awaits or awaits == reasons.DEVICE_AMBIGUOUS):
        fault = _node_fault(container, port, device)
        awaits, detail = ("", fault) if fault else (awaits, detail)
    if not detail and device is None:
        awaits, detail = reasons.DEVICE_MISSING, f"{port.device_id} is not plugged in"
    return ObservedDevice(
        name=port.name,
        path=device.path if device else "",
        in_order=not detail,
        detail=detail or remark,
        awaits=awaits,
        required=port.required,
        needs_new_container=awaits == reasons.DEVICES_UNSUPPORTED,
    )


def _held(checked: Iterable[_Checked], seen: Iterable[ObservedDevice]) -> frozenset[int]:
    """The devices that the runtime has: only those with a node, so that merely requesting one blocks nobody."""
    pairs = zip(checked, seen, strict=True)
    return frozenset(one.device.number for one, found in pairs if found.in_order and one.device)


def _node_fault(container: Container, port: runtimes.SerialPort, device: SerialDevice | None) -> str:
    """The fault of the node in a running container, "" for none."""
    found = nodes.find_node(container.process, port.container_path)
    if device is None:
        return f"{port.container_path} belongs to an unplugged device" if found is not None else ""
    return "" if found == device.number else f"{port.container_path} is missing"
