"""Builds the request body that creates a container (API reference: ContainerCreate). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controller import quantities
from controller.api import runtimes
from controller.backends.base import Target
from controller.backends.docker.containers import labels
from controller.backends.docker.engine.capabilities import Capabilities
from controller.network import desired_interface
from controller.network.desired_interface import DesiredInterface

# Linux answers ARP requests for any of its addresses on any link (ip-sysctl: arp_ignore, arp_announce): two links on
# one LAN would both answer for both addresses. Loose reverse path filtering accepts replies that use the other link.
_ONE_ADDRESS_ONE_LINK = {
    "net.ipv4.conf.all.arp_ignore": "1",
    "net.ipv4.conf.all.arp_announce": "2",
    "net.ipv4.conf.all.rp_filter": "2",
}
# Otherwise a router of the plant would assign addresses to links created after the start. Loopback keeps ::1.
_NO_IPV6 = {"net.ipv6.conf.default.disable_ipv6": "1"}
_INTERNAL_INTERFACE = "internal"
_IFNAME = "com.docker.network.endpoint.ifname"


def desired_interfaces(target: Target, known: Mapping[str, str]) -> tuple[DesiredInterface, ...]:
    """Every interface of the spec; ``known`` are the container's MAC addresses, which precede those of the target."""
    return desired_interface.of_spec(target.spec, target.identity, {**target.mac_addresses, **known})


def body(
    target: Target,
    provenance: labels.ContainerProvenance,
    connected: Mapping[str, DesiredInterface],
    capabilities: Capabilities,
    confined: dict[str, Any],
    *,
    has_ipv6: bool,
) -> dict[str, Any]:
    """The body for /containers/create.

    ``connected`` are the interfaces that Docker provides, by network; ``confined`` is the part of the HostConfig from
    rights.py; ``has_ipv6``: whether the host's kernel has IPv6.
    """
    spec = target.spec
    internal = labels.internal_network_name(target.identity)
    content: dict[str, Any] = {
        "Image": provenance.image,
        "Env": _environment(target),
        "Labels": labels.of_container(target, provenance),
        "StopTimeout": spec.termination_grace_period_seconds,
        "HostConfig": _host_config(target, realtime=provenance.realtime) | confined | {"NetworkMode": internal},
    }
    content["HostConfig"]["Sysctls"] = _ONE_ADDRESS_ONE_LINK | (_NO_IPV6 if has_ipv6 else {})
    endpoints = {network: endpoint(desired, capabilities, spec) for network, desired in connected.items()}
    if capabilities.several_endpoints or not connected:
        endpoints[internal] = internal_endpoint(capabilities, spec)
    else:
        # Before API 1.44 only this network's interface gets our MAC address, and a create accepts one endpoint: the
        # creator connects the internal network afterwards.
        ((network, desired),) = connected.items()
        content["MacAddress"] = desired.mac_address
        content["HostConfig"]["NetworkMode"] = network
    return content | {"NetworkingConfig": {"EndpointsConfig": endpoints}}


def endpoint(desired: DesiredInterface, capabilities: Capabilities, spec: runtimes.RuntimeSpec) -> dict[str, Any]:
    """An endpoint on a LAN network (API reference: EndpointSettings)."""
    settings: dict[str, Any] = {"IPAMConfig": {"IPv4Address": desired.interface.address}}
    if capabilities.several_endpoints:
        settings["MacAddress"] = desired.mac_address
    if capabilities.interface_names:
        settings["DriverOpts"] = {_IFNAME: desired.name}
        first = next((interface.name for interface in spec.interfaces if interface.gateway), "")
        settings["GwPriority"] = 1 if desired.name == first else 0
    return settings


def internal_endpoint(capabilities: Capabilities, spec: runtimes.RuntimeSpec) -> dict[str, Any]:
    """The endpoint on the internal network: never the default route, and its name avoids those of the spec."""
    if not capabilities.interface_names:
        return {}
    taken = {interface.name for interface in spec.interfaces}
    # A spec has at most eight interfaces, so one of nine names is free.
    name = next(name for number in range(9) if (name := f"{_INTERNAL_INTERFACE}{number}") not in taken)
    return {"DriverOpts": {_IFNAME: name}, "GwPriority": -1}


def limits(resources: runtimes.Resources) -> dict[str, int]:
    """CPU and memory limits. No extra swap, because a control program that is swapped out misses its deadlines."""
    memory = quantities.memory_bytes(resources.memory)
    return {"NanoCpus": quantities.nano_cpus(resources.cpu), "Memory": memory, "MemorySwap": memory}


def secret_env(spec: runtimes.RuntimeSpec, environment: Iterable[str]) -> dict[str, str]:
    """The Secret values that a container was created with, to recreate it unchanged."""
    # Not from the Secret, which may have changed: a changed Secret takes effect only in a requested new container.
    values = dict(entry.split("=", 1) for entry in environment if "=" in entry)
    return {
        variable.name: values[variable.name] for variable in spec.env if variable.value_from and variable.name in values
    }


def _environment(target: Target) -> list[str]:
    """The variables; an optional one whose Secret is missing is omitted."""
    values = {variable.name: variable.value for variable in target.spec.env if not variable.value_from}
    values |= target.secret_env
    return [f"{variable.name}={values[variable.name]}" for variable in target.spec.env if variable.name in values]


def _host_config(target: Target, *, realtime: bool) -> dict[str, Any]:
    spec = target.spec
    return {
        # So a runtime starts at boot and after a crash without the controller, but not after a requested stop.
        "RestartPolicy": {"Name": "unless-stopped"},
        # By default Docker keeps all output, until it fills the disk.
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        "Mounts": [_mount(target, volume) for volume in spec.volumes],
        "Dns": list(desired_interface.name_servers(desired_interfaces(target, {}))),
        **limits(spec.resources),
        **(_realtime(spec.realtime) if spec.realtime.enabled and realtime else {}),
    }


def _realtime(realtime: runtimes.Realtime) -> dict[str, Any]:
    return {
        "CapAdd": ["SYS_NICE"],
        "Ulimits": [
            {"Name": "rtprio", "Soft": realtime.rtprio, "Hard": realtime.rtprio},
            # A real-time program locks its memory (mlockall(2)), because a page fault would miss a deadline.
            {"Name": "memlock", "Soft": -1, "Hard": -1},
        ],
    }


def _mount(target: Target, volume: runtimes.Volume) -> dict[str, Any]:
    # Docker creates a named volume, with these labels, together with the first container that uses it.
    return {
        "Type": "volume",
        "Source": labels.volume_name(target.identity, volume.name),
        "Target": volume.mount_path,
        "ReadOnly": volume.read_only,
        "VolumeOptions": {"Labels": labels.of_identity(target.identity)},
    }
