"""What `helm test` asks: whether the installation does its work, told as a person would look for it. Reads only."""

from __future__ import annotations

import asyncio
from typing import Any

from controller import errors, names
from controller.resources import kinds
from controller.resources.client import ApiClient

POLL_SECONDS = 2.0


async def until_well(api: ApiClient, seconds: float, *, nodes: bool, cloud: bool) -> list[str]:
    """What is still not as it should be after that time; empty as soon as all is. Raises errors.ApiError."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            told = await faults(api, nodes=nodes, cloud=cloud)
        except errors.ApiUnavailableError as error:
            told = [str(error)]
        if not told or asyncio.get_running_loop().time() >= deadline:
            return told
        await asyncio.sleep(POLL_SECONDS)


async def faults(api: ApiClient, *, nodes: bool, cloud: bool) -> list[str]:
    """What is not as it should be, a sentence each. ``nodes``: agents are expected; ``cloud``: a link is.

    Raises errors.ApiError when the API cannot be asked, which says what is missing.
    """
    await api.list(kinds.RUNTIMES)
    found = await api.list(kinds.EDGE_NODES)
    if nodes and not found:
        return ["no node has published an EdgeNode: look at the pods of the DaemonSet and their logs"]
    told = [_fault(node, names.READY) for node in found]
    if cloud and not any(_condition(node, names.CLOUD_CONNECTED).get("status") == "True" for node in found):
        told += [_fault(node, names.CLOUD_CONNECTED) for node in found[:1]]
    return [fault for fault in told if fault]


def _fault(node: dict[str, Any], kind: str) -> str:
    condition = _condition(node, kind)
    if condition.get("status") == "True":
        return ""
    why = condition.get("message") or condition.get("reason") or "nothing was said yet"
    return f"node {node['metadata']['name']}: {kind} is {condition.get('status', 'unknown')}: {why}"


def _condition(node: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind), {})
