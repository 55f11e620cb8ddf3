"""The check behind `helm test`: whether nodes are Ready and a leader is elected. Read-only."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from controller import errors, names
from controller.api import kinds, reasons
from controller.machinery import conditions
from controller.machinery import kinds as core_kinds
from controller.machinery.backoff import Backoff
from controller.machinery.client import ApiClient
from controller.machinery.controller import poll

POLL_SECONDS = 2.0


class Expected(NamedTuple):
    """What the installation should have: nodes, and a leader whose Lease is in ``leader_namespace`` ("": none)."""

    nodes: bool
    leader_namespace: str = ""


async def wait_until_healthy(api: ApiClient, seconds: float, expected: Expected) -> list[str]:
    """Wait up to ``seconds`` for a healthy installation and return the remaining faults. Raises errors.ApiError."""
    read = partial(_faults_or_outage, api, expected)
    return await poll(read, operator.not_, seconds, Backoff(POLL_SECONDS, POLL_SECONDS))


async def _faults_or_outage(api: ApiClient, expected: Expected) -> list[str]:
    try:
        return await faults(api, expected)
    except errors.ApiUnavailableError as error:
        return [str(error)]


async def faults(api: ApiClient, expected: Expected) -> list[str]:
    """One sentence for each fault. Raises errors.ApiError, NotServedError if the CRDs are missing."""
    # Only for its errors: the CRDs or the right to read them may be missing.
    await api.list(kinds.RUNTIMES)
    nodes = await api.list(kinds.EDGE_NODES)
    found = [_node_fault(node) for node in nodes]
    if expected.nodes and not nodes:
        found.append("no node has published an EdgeNode: check the pods of the DaemonSet and their logs")
    if expected.leader_namespace:
        found.append(await _leader_fault(api, expected.leader_namespace))
    return [fault for fault in found if fault]


def _node_fault(node: dict[str, Any]) -> str:
    ready = conditions.of(node, names.READY)
    if ready.get("status") == "True" or _has_no_docker(node.get("status") or {}, ready):
        return ""
    why = ready.get("message") or ready.get("reason") or "no condition reported yet"
    return f"node {node['metadata']['name']}: Ready is {ready.get('status', 'unknown')}: {why}"


def _has_no_docker(status: dict[str, Any], ready: Mapping[str, Any]) -> bool:
    """Whether Docker never answered on this node. That is not a fault: such a node runs pods only."""
    return ready.get("reason") == reasons.DAEMON_UNREACHABLE and "Docker" not in (status.get("backends") or ())


async def _leader_fault(api: ApiClient, namespace: str) -> str:
    try:
        lease = await api.get(core_kinds.LEASES, names.LEADER_LEASE, namespace)
    except errors.NotFoundError:
        lease = {}
    if lease.get("spec", {}).get("holderIdentity"):
        return ""
    return "there is no leader: check the pods of the Deployment and their logs"
