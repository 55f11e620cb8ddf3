"""Builds a Runtime from a message of the cloud, and compares an existing one with it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from controller import names
from controller.api import fields
from controller.cloud.contracts import runtimes as contract
from controller.machinery import object_names
from controller.node_api.node import Placement


@dataclass(frozen=True)
class Blueprint:
    """Defaults for new Runtimes of the cloud, overridden by the message's fields.

    ``template`` is a partial spec in wire format.
    """

    namespace: str
    image: str
    version: str
    template: dict[str, Any]

    def manifest(self, spec: dict[str, Any], placement: Placement, annotations: dict[str, str]) -> dict[str, Any]:
        """Build the complete object from a requested spec.

        It has the finalizer from the start, so that no deletion goes unnoticed.
        """
        return {
            "metadata": {
                "name": object_name(spec["deviceId"]),
                "namespace": self.namespace,
                "labels": {names.ORIGIN_LABEL: names.ORIGIN_CLOUD},
                "annotations": annotations,
                "finalizers": [names.FINALIZER],
            },
            "spec": {
                **self.template,
                "image": self.image,
                "version": self.version,
                "backend": placement.backend,
                **spec,
                "nodeName": placement.node_name,
            },
        }


def object_name(container_name: str) -> str:
    """The name itself if it is a DNS label, else a similar one with a hash that keeps different names apart."""
    if len(container_name) <= fields.DNS_LABEL_LENGTH and re.fullmatch(fields.DNS_LABEL, container_name):
        return container_name
    return object_names.readable(container_name, fields.DNS_LABEL_LENGTH)


def requested_spec(message: contract.CreateNewRuntime) -> dict[str, Any]:
    """The part of the spec that the message specifies."""
    spec: dict[str, Any] = {
        "deviceId": message.container_name,
        "interfaces": [_interface(interface) for interface in message.vnic_configs],
    }
    if message.serial_configs is not None:
        spec["serialPorts"] = [_serial_port(port) for port in message.serial_configs]
    optional = {
        "version": message.runtime_version,
        "dedicatedInterface": message.dedicated_interface,
        "nodeName": message.node_name,
    }
    return {**spec, **_given(optional)}


def difference(desired: Any, current: Any, path: str = "") -> str:
    """The path of the first field whose current value differs from the desired one, or "". Other fields are ignored."""
    if isinstance(desired, dict) and isinstance(current, dict):
        pairs = ((f"{path}.{key}".lstrip("."), desired[key], current.get(key)) for key in desired)
        return next((found for at, a, b in pairs if (found := difference(a, b, at))), "")
    if isinstance(desired, list) and desired and isinstance(desired[0], dict):
        return _list_difference(desired, current or [], path)
    return "" if _same(desired, current, path) else path


def _same(desired: Any, current: Any, path: str) -> bool:
    # The message's address is in lower case, but a person may have written the object's in capitals.
    if path.endswith("macAddress"):
        return str(desired).lower() == str(current).lower()
    return bool(desired == current) or (desired == [] and current is None)


def _list_difference(desired: list[dict[str, Any]], current: list[dict[str, Any]], path: str) -> str:
    """Lists of named entries are compared by name, as Kubernetes merges them."""
    by_name = {entry["name"]: entry for entry in current}
    if set(by_name) != {entry["name"] for entry in desired}:
        return path
    pairs = ((f"{path}[{entry['name']}]", entry, by_name[entry["name"]]) for entry in desired)
    return next((found for at, a, b in pairs if (found := difference(a, b, at))), "")


def _interface(interface: contract.Interface) -> dict[str, Any]:
    return _given(
        {
            "name": interface.name,
            "parentInterface": interface.parent_interface,
            "mode": "Static" if interface.static else "Dhcp",
            "address": interface.address if interface.static else None,
            "subnet": str(interface.network) if interface.network else None,
            "gateway": interface.router,
            "dns": interface.dns,
            "macAddress": interface.hardware_address,
        }
    )


def _serial_port(port: contract.SerialPort) -> dict[str, Any]:
    return _given(
        {
            "name": port.name,
            "deviceId": port.device_id,
            "containerPath": port.container_path,
            "baudRate": port.baud_rate,
        }
    )


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
