"""``get_host_interfaces`` and ``get_serial_devices``: what the host offers to runtimes. Changes nothing."""

from __future__ import annotations

from controller.cloud.commands.answers import Answer
from controller.cloud.contracts.base import Message
from controller.cloud.contracts.questions import GetHostInterfaces
from controller.cloud.node import Node
from controller.network.interfaces import HostInterface
from controller.resources import kinds
from controller.resources.client import ApiClient


class Hardware:
    """Interfaces come from the node; which runtime has one to itself comes from the Runtimes."""

    def __init__(self, api: ApiClient, node: Node) -> None:
        self._api = api
        self._node = node

    async def interfaces(self, message: GetHostInterfaces) -> Answer:
        """Physical, VLAN and Wi-Fi interfaces; with ``include_virtual`` the others as well."""
        found = await self._node.interfaces(include_virtual=bool(message.include_virtual))
        dedicated = await self._dedicated()
        described = [_described(interface, dedicated.get(interface.name)) for interface in found]
        if message.detailed:
            details = [{"kind": interface.kind, "is_up": interface.is_up} for interface in found]
            described = [{**entry, **more} for entry, more in zip(described, details, strict=True)]
        return {"status": "success", "interfaces": described}

    async def serial_devices(self, _message: Message) -> Answer:
        """None yet: serial devices are not looked for."""
        return {"status": "success", "devices": [], "count": 0}

    async def _dedicated(self) -> dict[str, str]:
        """Device by the interface that it alone may use."""
        specs = [runtime["spec"] for runtime in await self._api.list(kinds.RUNTIMES)]
        return {spec["dedicatedInterface"]: spec["deviceId"] for spec in specs if spec.get("dedicatedInterface")}


def _described(interface: HostInterface, device_id: str | None) -> Answer:
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
