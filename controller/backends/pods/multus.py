"""Interfaces on the plant's LAN: what Multus is asked for, and what it says was done. Pure.

Sources: the Multi-Net specification of the Network Plumbing Working Group (annotations ``networks`` and
``network-status``), the CNI plugins macvlan, static and dhcp. The MAC address is pinned on macvlan itself, which makes
the link with it: a plugin chained behind it would come after DHCP.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from typing import Any

from controller.api import runtimes
from controller.backends.base import ObservedInterface, Target
from controller.backends.pods import naming
from controller.network import addresses

NETWORKS = "k8s.v1.cni.cncf.io/networks"
NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status"
CNI_VERSION = "0.3.1"  # what every release of the plugins speaks
MISSING = (
    "The cluster has no Multus, which spec.interfaces needs: on k3s install the Helm chart rke2-charts/rke2-multus "
    "with config.cni_conf.confDir=/var/lib/rancher/k3s/agent/etc/cni/net.d, "
    "config.cni_conf.binDir=/var/lib/rancher/k3s/data/cni and manifests.dhcpDaemonSet=true (docs/decisions/102)"
)


def mac_addresses(target: Target) -> dict[str, str]:
    """Every interface's MAC address: as the spec asks, else as the target remembers it, else derived."""
    return {
        desired.name: (
            desired.mac_address
            or target.mac_addresses.get(desired.name)
            or addresses.derived_mac(*target.identity, desired.name)
        ).lower()
        for desired in target.spec.interfaces
    }


def definitions(target: Target) -> list[dict[str, Any]]:
    """The NetworkAttachmentDefinitions of a runtime, one an interface, named after what they say."""
    made = []
    for interface in target.spec.interfaces:
        name, config = definition_name(target, interface), json.dumps(_config(interface), sort_keys=True)
        made.append({"metadata": naming.metadata(target, name), "spec": {"config": config}})
    return made


def definition_name(target: Target, interface: runtimes.Interface) -> str:
    """Another configuration is another name: what a running pod was made with stays as it is."""
    name = f"{interface.name} {json.dumps(_config(interface), sort_keys=True)}"
    return f"{naming.workload(target.identity)}-{naming.digest(name)}"


def networks(target: Target) -> dict[str, str]:
    """The annotation that asks for the interfaces, {} for none."""
    macs = mac_addresses(target)
    asked = [_selection(target, interface, macs[interface.name]) for interface in target.spec.interfaces]
    return {NETWORKS: json.dumps(asked, sort_keys=True)} if asked else {}


def _selection(target: Target, interface: runtimes.Interface, mac_address: str) -> dict[str, Any]:
    """One NetworkSelectionElement. Without ``default-route`` the default route stays on the cluster's network."""
    selection: dict[str, Any] = {
        "name": definition_name(target, interface),
        "namespace": target.identity.namespace,
        "interface": interface.name,
        "mac": mac_address,
    }
    if interface.mode == "Static" and interface.address and interface.subnet:
        prefix = ipaddress.IPv4Network(interface.subnet, strict=False).prefixlen
        selection["ips"] = [f"{interface.address}/{prefix}"]
    if interface.gateway:
        selection["default-route"] = [interface.gateway]
    return selection


def _config(interface: runtimes.Interface) -> dict[str, Any]:
    static = interface.mode == "Static"
    plugin = {
        "type": "macvlan",
        "master": interface.parent_interface,
        "mode": "bridge",
        "capabilities": {"mac": True, "ips": True} if static else {"mac": True},
        "ipam": {"type": "static" if static else "dhcp"},
    }
    return {"cniVersion": CNI_VERSION, "name": f"edge-{interface.parent_interface}", "plugins": [plugin]}


def interfaces(
    spec: runtimes.RuntimeSpec, annotations: Mapping[str, str], *, running: bool
) -> tuple[ObservedInterface, ...]:
    """The interfaces of the spec, as ``network-status`` of the pod tells them."""
    asked = {one["interface"]: one for one in _listed(annotations.get(NETWORKS))}
    name = {str(one.get("interface")): one for one in _listed(annotations.get(NETWORK_STATUS)) if one.get("interface")}
    return tuple(
        _interface(desired, asked.get(desired.name), name.get(desired.name), running) for desired in spec.interfaces
    )


def _interface(
    desired: runtimes.Interface, asked: dict[str, Any] | None, name: dict[str, Any] | None, running: bool
) -> ObservedInterface:
    detail = _fault(desired, asked, name, running)
    known = (name or {}).get("mac") or (asked or {}).get("mac") or ""
    return ObservedInterface(
        name=desired.name,
        parent_interface=desired.parent_interface,
        attached=name is not None or (asked is not None and not running),
        address=_address(name),
        mac_address=known.lower(),
        gateway=desired.gateway or "",
        in_order=not detail,
        detail=detail,
    )


def _fault(
    desired: runtimes.Interface, asked: dict[str, Any] | None, name: dict[str, Any] | None, running: bool
) -> str:
    """What is not as the spec asks. A pod that does not run has what its template asks for."""
    if asked is None:
        return "the pod was made without it"
    if running and name is None:
        return "Multus tells nothing of it: see whether it runs on the pod's node"
    standing = _address(name) if name else str((asked.get("ips") or [""])[0]).partition("/")[0]
    if desired.mode == "Static" and standing != (desired.address or ""):
        return f"it has {standing or 'no address'}"
    if desired.mac_address and str(asked.get("mac", "")).lower() != desired.mac_address.lower():
        return f"it has the MAC address {asked.get('mac')}"
    return ""


def _address(name: dict[str, Any] | None) -> str:
    found = (name or {}).get("ips") or [""]
    return str(found[0]).partition("/")[0]


def _listed(text: str | None) -> Sequence[dict[str, Any]]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return ()
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else ()
