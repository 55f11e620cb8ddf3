"""What `helm test` asks: whether the installation does its work, told as a person would look for it. Reads only."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from controller import errors, names
from controller.api import kinds, reasons
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient

POLL_SECONDS = 2.0


class Expected(NamedTuple):
    """What an installation is to have: agents on nodes, and a leader whose Lease is in that namespace ("": none)."""

    nodes: bool
    leader_namespace: str = ""


async def until_well(api: ApiClient, seconds: float, expected: Expected) -> list[str]:
    """What is still not as it should be after that time; empty as soon as all is. Raises errors.ApiError."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            faulty = await faults(api, expected)
        except errors.ApiUnavailableError as error:
            faulty = [str(error)]
        if not faulty or asyncio.get_running_loop().time() >= deadline:
            return faulty
        await asyncio.sleep(POLL_SECONDS)


async def faults(api: ApiClient, expected: Expected) -> list[str]:
    """What is not as it should be, a sentence each. Raises errors.ApiError, which says what is missing."""
    await api.list(kinds.RUNTIMES)
    found = await api.list(kinds.EDGE_NODES)
    faulty = [_of_node(node) for node in found]
    if expected.nodes and not found:
        faulty.append("no node has published an EdgeNode: look at the pods of the DaemonSet and their logs")
    if expected.leader_namespace:
        faulty.append(await _of_leader(api, expected.leader_namespace))
    return [fault for fault in faulty if fault]


def _of_node(node: dict[str, Any]) -> str:
    status = node.get("status") or {}
    conditions: list[dict[str, Any]] = status.get("conditions") or []
    ready = next((each for each in conditions if each["type"] == names.READY), {})
    if ready.get("status") == "True" or _has_no_docker(status, ready):
        return ""
    why = ready.get("message") or ready.get("reason") or "nothing was said yet"
    return f"node {node['metadata']['name']}: Ready is {ready.get('status', 'unknown')}: {why}"


def _has_no_docker(status: dict[str, Any], ready: dict[str, Any]) -> bool:
    """A node on which Docker never answered is well as it is: it has pods."""
    return ready.get("reason") == reasons.DAEMON_UNREACHABLE and "Docker" not in (status.get("backends") or ())


async def _of_leader(api: ApiClient, namespace: str) -> str:
    try:
        lease = await api.get(core_kinds.LEASES, names.LEADER_LEASE, namespace)
    except errors.NotFoundError:
        lease = {}
    if lease.get("spec", {}).get("holderIdentity"):
        return ""
    return "no process leads: look at the pods of the Deployment and their logs"
