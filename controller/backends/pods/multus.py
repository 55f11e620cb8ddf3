"""Requests interfaces on the plant's LAN from Multus, and reads back its results. Pure.

Sources: the Multi-Net specification of the Network Plumbing Working Group (annotations ``networks`` and
``network-status``), the CNI plugins macvlan, static and dhcp. The macvlan plugin itself sets the MAC address when it
creates the link: a chained plugin would run only after DHCP.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from typing import Any

from controller.api import runtimes
from controller.backends.base import Target
from controller.backends.observation import ObservedInterface
from controller.backends.pods import naming
from controller.machinery import object_names
from controller.network import desired_interface
from controller.network.desired_interface import DesiredInterface

NETWORKS = "k8s.v1.cni.cncf.io/networks"
NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status"
CNI_VERSION = "0.3.1"  # supported by every release of the plugins
MISSING = (
    "The cluster has no Multus, which spec.interfaces needs: on k3s install the Helm chart rke2-charts/rke2-multus "
    "with config.cni_conf.confDir=/var/lib/rancher/k3s/agent/etc/cni/net.d, "
    "config.cni_conf.binDir=/var/lib/rancher/k3s/data/cni and manifests.dhcpDaemonSet=true (docs/decisions/102)"
)


def definitions(target: Target) -> list[dict[str, Any]]:
    """The NetworkAttachmentDefinitions of a runtime, one per interface, named after their content."""
    made = []
    for interface in target.spec.interfaces:
        name, config = definition_name(target, interface), json.dumps(_config(interface), sort_keys=True)
        made.append({"metadata": naming.metadata(target, name), "spec": {"config": config}})
    return made


def definition_name(target: Target, interface: runtimes.Interface) -> str:
    """The name contains a hash of the configuration, so that the definition of a running pod never changes."""
    name = f"{interface.name} {json.dumps(_config(interface), sort_keys=True)}"
    return f"{naming.workload(target.identity)}-{object_names.digest(name)}"


def networks(target: Target) -> dict[str, str]:
    """The annotation that requests the interfaces, {} for none."""
    asked = [
        _selection(target, desired)
        for desired in desired_interface.of_spec(target.spec, target.identity, target.mac_addresses)
    ]
    return {NETWORKS: json.dumps(asked, sort_keys=True)} if asked else {}


def _selection(target: Target, desired: DesiredInterface) -> dict[str, Any]:
    """A NetworkSelectionElement. Without ``default-route`` the default route stays on the cluster's network."""
    interface = desired.interface
    selection: dict[str, Any] = {
        "name": definition_name(target, interface),
        "namespace": target.identity.namespace,
        "interface": interface.name,
        "mac": desired.mac_address,
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
    """The interfaces of the spec, as the pod's ``network-status`` reports them."""
    requested = {one["interface"]: one for one in _listed(annotations.get(NETWORKS))}
    statuses = _listed(annotations.get(NETWORK_STATUS))
    reported = {str(one.get("interface")): one for one in statuses if one.get("interface")}
    return tuple(
        _interface(desired, requested.get(desired.name), reported.get(desired.name), running)
        for desired in spec.interfaces
    )


def _interface(
    desired: runtimes.Interface, requested: dict[str, Any] | None, reported: dict[str, Any] | None, running: bool
) -> ObservedInterface:
    detail = _fault(desired, requested, reported, running)
    mac_address = (reported or {}).get("mac") or (requested or {}).get("mac") or ""
    return ObservedInterface(
        name=desired.name,
        parent_interface=desired.parent_interface,
        attached=reported is not None or (requested is not None and not running),
        address=_address(reported),
        mac_address=mac_address.lower(),
        gateway=desired.gateway or "",
        in_order=not detail,
        detail=detail,
    )


def _fault(
    desired: runtimes.Interface, requested: dict[str, Any] | None, reported: dict[str, Any] | None, running: bool
) -> str:
    """How the interface differs from the spec. A pod that does not run will get what its template requests."""
    if requested is None:
        return "the pod was created without it"
    if running and reported is None:
        return "Multus does not report it: check that Multus runs on the pod's node"
    address = _address(reported) if reported else str((requested.get("ips") or [""])[0]).partition("/")[0]
    if desired.mode == "Static" and address != (desired.address or ""):
        return f"it has {address or 'no address'}"
    if desired.mac_address and str(requested.get("mac", "")).lower() != desired.mac_address.lower():
        return f"it has the MAC address {requested.get('mac')}"
    return ""


def _address(reported: dict[str, Any] | None) -> str:
    found = (reported or {}).get("ips") or [""]
    return str(found[0]).partition("/")[0]


def _listed(text: str | None) -> Sequence[dict[str, Any]]:
    try:
        # Whoever may patch pods can write anything into this annotation.
        found = json.loads(text or "[]")
    except ValueError:
        return ()
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else ()
