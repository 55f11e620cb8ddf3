"""The body of a container's creation (API reference: ContainerCreate): pure, from the target and the arrangement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controller.api import quantities, runtimes
from controller.backends.base import Target
from controller.backends.docker.containers import labels
from controller.backends.docker.engine.capabilities import Capabilities
from controller.backends.docker.networking.endpoint_plan import Attachment, DesiredInterface
from controller.network import addresses

# Linux answers ARP for any of its addresses on any link (ip-sysctl: arp_ignore, arp_announce): with two links on one
# LAN both would answer for both addresses. Loose reverse path filtering lets answers leave over the other one.
_ONE_ADDRESS_ONE_LINK = {
    "net.ipv4.conf.all.arp_ignore": "1",
    "net.ipv4.conf.all.arp_announce": "2",
    "net.ipv4.conf.all.rp_filter": "2",
}
# Or a router of the plant would give addresses to links that are made after the start. Loopback keeps ::1.
_NO_IPV6 = {"net.ipv6.conf.default.disable_ipv6": "1"}
_INTERNAL_INTERFACE = "internal"
_IFNAME = "com.docker.network.endpoint.ifname"


def desired_interfaces(target: Target, known: dict[str, str]) -> tuple[DesiredInterface, ...]:
    """Every interface of the spec with its MAC address.

    As the spec asks, else as ``known`` of the container, else as the target remembers it, else derived.
    """
    return tuple(DesiredInterface(interface, _mac(target, interface, known)) for interface in target.spec.interfaces)


def _mac(target: Target, interface: runtimes.Interface, known: dict[str, str]) -> str:
    found = interface.mac_address or known.get(interface.name) or target.mac_addresses.get(interface.name)
    return (found or addresses.derived_mac(*target.identity, interface.name)).lower()


def name_servers(interfaces: Iterable[DesiredInterface]) -> tuple[str, ...]:
    """The name servers of all interfaces, each once; resolv.conf(5) reads three."""
    return tuple(dict.fromkeys(server for desired in interfaces for server in desired.name_servers))[:3]


def body(
    target: Target,
    making: labels.ContainerProvenance,
    connected: tuple[Attachment, ...],
    capabilities: Capabilities,
    confined: dict[str, Any],
    *,
    has_ipv6: bool,
) -> dict[str, Any]:
    """What to post to /containers/create; ``confined`` is what confines it (see confinement.py), ``has_ipv6`` whether
    the host's kernel knows IPv6.
    """
    spec = target.spec
    internal = labels.internal_network_name(target.identity)
    content: dict[str, Any] = {
        "Image": making.image,
        "Env": _environment(target),
        "Labels": labels.of_container(target, making),
        "StopTimeout": spec.termination_grace_period_seconds,
        "HostConfig": _host_config(target, realtime=making.realtime) | confined | {"NetworkMode": internal},
    }
    content["HostConfig"]["Sysctls"] = _ONE_ADDRESS_ONE_LINK | (_NO_IPV6 if has_ipv6 else {})
    endpoints = {attachment.network: endpoint(attachment, capabilities, spec) for attachment in connected}
    if capabilities.several_endpoints or not connected:
        endpoints[internal] = internal_endpoint(capabilities, spec)
    else:
        # The only network whose interface gets a MAC address of ours.
        content["MacAddress"] = connected[0].desired.mac_address
        content["HostConfig"]["NetworkMode"] = connected[0].network
    return content | {"NetworkingConfig": {"EndpointsConfig": endpoints}}


def endpoint(attachment: Attachment, capabilities: Capabilities, spec: runtimes.RuntimeSpec) -> dict[str, Any]:
    """An endpoint on a LAN network (API reference: EndpointSettings)."""
    desired = attachment.desired
    settings: dict[str, Any] = {"IPAMConfig": {"IPv4Address": desired.interface.address}}
    if capabilities.several_endpoints:
        settings["MacAddress"] = desired.mac_address
    if capabilities.interface_names:
        settings["DriverOpts"] = {_IFNAME: desired.interface.name}
        first = next((interface.name for interface in spec.interfaces if interface.gateway), "")
        settings["GwPriority"] = 1 if desired.interface.name == first else 0
    return settings


def internal_endpoint(capabilities: Capabilities, spec: runtimes.RuntimeSpec) -> dict[str, Any]:
    """The endpoint on the internal network: never the default route, and out of the way of the spec's names."""
    if not capabilities.interface_names:
        return {}
    taken = {interface.name for interface in spec.interfaces}
    name = next(name for number in range(9) if (name := f"{_INTERNAL_INTERFACE}{number}") not in taken)
    return {"DriverOpts": {_IFNAME: name}, "GwPriority": -1}


def limits(resources: runtimes.Resources) -> dict[str, int]:
    """CPU and memory limits; no swap on top of the memory, for a control program that is swapped out is late."""
    memory = quantities.memory_bytes(resources.memory)
    return {"NanoCpus": quantities.nano_cpus(resources.cpu), "Memory": memory, "MemorySwap": memory}


def secret_env(spec: runtimes.RuntimeSpec, environment: Iterable[str]) -> dict[str, str]:
    """The values of Secrets that a container was made with, for one that takes its place unchanged."""
    values = dict(entry.split("=", 1) for entry in environment if "=" in entry)
    return {
        variable.name: values[variable.name] for variable in spec.env if variable.value_from and variable.name in values
    }


def _environment(target: Target) -> list[str]:
    """An optional variable without a Secret is left out."""
    values = {variable.name: variable.value for variable in target.spec.env if not variable.value_from}
    values |= target.secret_env
    return [f"{variable.name}={values[variable.name]}" for variable in target.spec.env if variable.name in values]


def _host_config(target: Target, *, realtime: bool) -> dict[str, Any]:
    spec = target.spec
    return {
        "RestartPolicy": {"Name": "unless-stopped"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        "Mounts": [_mount(target, volume) for volume in spec.volumes],
        "Dns": list(name_servers(desired_interfaces(target, {}))),
        **limits(spec.resources),
        **(_realtime(spec.realtime) if spec.realtime.enabled and realtime else {}),
    }


def _realtime(realtime: runtimes.Realtime) -> dict[str, Any]:
    return {
        "CapAdd": ["SYS_NICE"],
        "Ulimits": [
            {"Name": "rtprio", "Soft": realtime.rtprio, "Hard": realtime.rtprio},
            {"Name": "memlock", "Soft": -1, "Hard": -1},
        ],
    }


def _mount(target: Target, volume: runtimes.Volume) -> dict[str, Any]:
    # Docker makes a named volume, with these labels, when the first container with it is created.
    return {
        "Type": "volume",
        "Source": labels.volume_name(target.identity, volume.name),
        "Target": volume.mount_path,
        "ReadOnly": volume.read_only,
        "VolumeOptions": {"Labels": labels.of_identity(target.identity)},
    }
