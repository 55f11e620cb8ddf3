"""Chooses the node for a Runtime: one that has the parent interfaces its spec names. Pure.

Two nodes may both have an eth0 but on different LANs, so a choice between them is made only if their subnets show that
they are on the same LAN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any, NamedTuple

from controller.api import edgenodes
from controller.errors import CommandError
from controller.network.parents import vlan
from controller.node_api.node import Placement

DOCKER, POD = "Docker", "Pod"


class Candidate(NamedTuple):
    """A node as placement sees it.

    ``interfaces`` are subnets by name, ``away`` says why it is away ("" when it is not), ``runtimes`` is how many
    Runtimes it has.
    """

    name: str
    interfaces: Mapping[str, str]
    backends: tuple[str, ...]
    away: str = ""
    runtimes: int = 0
    devices: frozenset[str] = frozenset()  # every name by which a spec can refer to a serial device

    def reaches(self, parent: str) -> bool:
        """Whether it has the interface, or can create it as a VLAN on one that it has."""
        desired = vlan(parent)
        return parent in self.interfaces or (desired is not None and desired.lower in self.interfaces)

    @classmethod
    def of(cls, edge_node: Mapping[str, Any]) -> Candidate:
        """The candidate for an EdgeNode."""
        status = edge_node.get("status") or {}
        return cls(
            name=edge_node["metadata"]["name"],
            interfaces={entry["name"]: entry.get("subnet", "") for entry in status.get("interfaces") or ()},
            backends=tuple(status.get("backends") or ()),
            away=edgenodes.away_message(edge_node),
            runtimes=(status.get("runtimes") or {}).get("total", 0),
            devices=frozenset(
                device[name]
                for device in status.get("serialDevices") or ()
                for name in ("deviceId", "byPath", "path")
                if device.get(name)
            ),
        )


def choose(candidates: Sequence[Candidate], spec: Mapping[str, Any], *, pods: bool) -> Placement:
    """The node and backend for a Runtime; with ``pods``, nodes without Docker can run it as a pod.

    Raises errors.CommandError, one sentence that says what each node has.
    """
    parents = _parents(spec)
    eligible = [node for node in candidates if not _mismatch(node, spec, parents, pods)]
    if not eligible:
        raise CommandError(_no_fit_message(candidates, spec, parents, pods))
    chosen = _best(_with_devices(eligible, candidates, spec, parents), spec, parents)
    return Placement(chosen.name, spec.get("backend") or (DOCKER if DOCKER in chosen.backends else POD))


def _parents(spec: Mapping[str, Any]) -> list[str]:
    desired = [interface["parentInterface"] for interface in spec.get("interfaces") or ()]
    return list(dict.fromkeys([*desired, *filter(None, [spec.get("dedicatedInterface")])]))


def _mismatch(node: Candidate, spec: Mapping[str, Any], parents: Sequence[str], pods: bool) -> str:
    """Why the node cannot run it, "" when it can."""
    if spec.get("nodeName") not in (None, node.name):
        return "it is not the requested node"
    if node.away:
        return "it is away"
    backend = spec.get("backend")
    if backend != POD and DOCKER not in node.backends and (backend == DOCKER or not pods):
        return "it has no Docker"
    missing = [parent for parent in parents if not node.reaches(parent)]
    return f"it has {_listed(node.interfaces)}" if missing else ""


def _no_fit_message(
    candidates: Sequence[Candidate], spec: Mapping[str, Any], parents: Sequence[str], pods: bool
) -> str:
    if not candidates:
        return "there is no node yet: start a controller with the role node"
    requested = [node for node in candidates if node.name == spec.get("nodeName")]
    if spec.get("nodeName") and not requested:
        return f"there is no node {spec['nodeName']}: the nodes are {_listed(node.name for node in candidates)}"
    desired = f"has {_listed(parents)}" if parents else "can run it"
    if requested:
        if requested[0].away:
            return requested[0].away
        mismatch = _mismatch(requested[0], spec, parents, pods)
        return f"node {requested[0].name} cannot run it: {mismatch}, and the spec asks for {_listed(parents)}"
    found = "; ".join(f"{node.name}: {_mismatch(node, spec, parents, pods)}" for node in candidates)
    return f"no node {desired} ({found})"


def _with_devices(
    eligible: Sequence[Candidate], candidates: Sequence[Candidate], spec: Mapping[str, Any], parents: Sequence[str]
) -> Sequence[Candidate]:
    """The nodes that have the serial devices.

    A device that no node has may still be plugged in, so it excludes nothing if only one node is possible anyway.
    """
    devices = {port["deviceId"] for port in spec.get("serialPorts") or ()}
    having = [node for node in eligible if devices <= node.devices]
    elsewhere = any(devices & node.devices for node in candidates)
    if having or spec.get("nodeName") or (len(eligible) == 1 and not elsewhere):
        return having or eligible
    desired = [*parents, *sorted(devices)]
    shown = {node.name: [*node.interfaces, *sorted(devices & node.devices)] for node in candidates}
    found = "; ".join(f"{name}: it has {_listed(has)}" for name, has in shown.items())
    raise CommandError(f"no node has {_listed(desired)} ({found}): plug the device in there, or set node_name")


def _best(eligible: Sequence[Candidate], spec: Mapping[str, Any], parents: Sequence[str]) -> Candidate:
    """Of several nodes on the same LANs, the one with the fewest Runtimes."""
    # Only a preference: a parent may have no address in the runtime's subnet.
    desired = {
        i["parentInterface"]: str(IPv4Network(i["subnet"], strict=False))
        for i in spec.get("interfaces") or ()
        if i.get("subnet")
    }
    matching = [node for node in eligible if all(node.interfaces.get(name) == net for name, net in desired.items())]
    rest = matching or eligible
    lans = {tuple(node.interfaces.get(parent, "") for parent in parents) for node in rest}
    # An unknown subnet shows nothing: two nodes without an address on eth1 need not be on one LAN.
    if len(lans) > 1 or (len(rest) > 1 and "" in next(iter(lans))):
        found = "; ".join(f"{node.name}: {_listed(_lan(node, parent) for parent in parents)}" for node in rest)
        where = "on different LANs" if all(map(all, lans)) else "and whether on the same LAN is unknown"
        raise CommandError(f"several nodes have {_listed(parents)}, {where} ({found}): set node_name")
    # The name makes the choice between equals repeatable.
    return min(rest, key=lambda node: (node.runtimes, node.name))


def _lan(node: Candidate, parent: str) -> str:
    if parent not in node.interfaces:
        return f"{parent} is created with the Runtime"
    return node.interfaces[parent] or f"no address on {parent}"


def _listed(items: Any) -> str:
    return ", ".join(items) or "nothing"
