"""``get_host_interfaces`` and ``get_serial_devices``: hardware that runtimes can use. Read-only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from controller.cloud.answers import Answer
from controller.cloud.commands.devices import Devices
from controller.cloud.contracts.base import Message
from controller.cloud.contracts.queries import GetHostInterfaces
from controller.devices.serial_device import SerialDevice
from controller.network.interfaces import HostInterface
from controller.node_api import aggregation
from controller.node_api.node import Node, NodeDirectory


class Hardware:
    """Interfaces come from the nodes, their users from the Runtimes."""

    def __init__(self, devices: Devices, nodes: NodeDirectory) -> None:
        self._all_devices = devices
        self._nodes = nodes

    async def interfaces(self, message: GetHostInterfaces) -> Answer:
        """Physical, VLAN and Wi-Fi interfaces; all interfaces if ``include_virtual``."""
        nodes = await self._nodes.available()
        queries = (_interfaces_on(name, node, virtual=bool(message.include_virtual)) for name, node in nodes.items())
        specs = [runtime["spec"] for runtime in await self._all_devices.list()]
        dedicated, users = _dedicated(specs), _users(specs)
        several = len(nodes) > 1
        interfaces = [
            {
                **_describe(interface, dedicated.get((name, interface.name))),
                **(_details(interface, users[name, interface.name]) if message.detailed else {}),
                **({"node_name": name} if several else {}),
            }
            for name, found in await aggregation.gather_answers(queries)
            for interface in found
        ]
        return {"status": "success", "interfaces": interfaces}

    async def serial_devices(self, _message: Message) -> Answer:
        """Every connected serial device, with the stable id that a Runtime refers to it by."""
        nodes = await self._nodes.available()
        several = len(nodes) > 1
        devices = [
            {**_device(device), **({"node_name": name} if several else {})}
            for name, found in await aggregation.gather_answers(_devices_on(name, node) for name, node in nodes.items())
            for device in found
        ]
        return {"status": "success", "devices": devices, "count": len(devices)}


async def _interfaces_on(name: str, node: Node, *, virtual: bool) -> tuple[str, Sequence[HostInterface]]:
    return name, await node.interfaces(include_virtual=virtual)


async def _devices_on(name: str, node: Node) -> tuple[str, Sequence[SerialDevice]]:
    return name, await node.serial_devices()


def _device(device: SerialDevice) -> Answer:
    return {
        "path": device.path,
        "device_id": device.device_id,
        "vendor_id": device.vendor_id or None,
        "product_id": device.product_id or None,
        "serial": device.serial or None,
        "manufacturer": device.manufacturer or None,
        "product": device.product or None,
    }


def _dedicated(specs: Sequence[dict[str, Any]]) -> dict[tuple[str | None, str], str]:
    """The device id per (node, interface) that is dedicated to one device."""
    return {
        (spec.get("nodeName"), spec["dedicatedInterface"]): spec["deviceId"]
        for spec in specs
        if spec.get("dedicatedInterface")
    }


def _users(specs: Sequence[dict[str, Any]]) -> dict[tuple[str | None, str], list[str]]:
    """The device ids per (node, parent interface)."""
    found: dict[tuple[str | None, str], list[str]] = defaultdict(list)
    for spec in specs:
        for parent in sorted({interface["parentInterface"] for interface in spec.get("interfaces") or ()}):
            found[spec.get("nodeName"), parent].append(spec["deviceId"])
    return found


def _details(interface: HostInterface, users: Sequence[str]) -> Answer:
    """``speed`` is in Mbit/s; ``used_by`` lists links of the host on top of it and devices on its LAN."""
    return {
        "kind": interface.kind,
        "is_up": interface.is_up,
        "carrier": interface.carrier,
        "speed": interface.speed,
        "used_by": [*interface.used_by, *users],
    }


def _describe(interface: HostInterface, device_id: str | None) -> Answer:
    return {
        "name": interface.name,
        "ip_address": interface.ip_address or None,
        "ipv4_addresses": list(interface.ipv4_addresses),
        "mac_address": interface.mac_address or None,
        "subnet": interface.subnet or None,
        "gateway": interface.gateway or None,
        "dedicated_to": device_id,
        "dedicated_only": device_id is not None,
    }
