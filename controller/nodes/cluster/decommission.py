"""A node that will not come back: what it held is let go, by a person's decision and never by ours (design 18).

Runtimes are deleted, as their node cannot be changed; who made them makes them anew, and they go to another node.
"""

from __future__ import annotations

import contextlib
from typing import Any

from controller import errors, names
from controller.api import away, kinds
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.nodes.cluster import node_lease


async def belongings(api: ApiClient, node: str) -> list[str]:
    """What would be let go, a line each. Raises errors.SettingError when the node is not away, errors.ApiError."""
    await _refuse_unless_away(api, node)
    return [f"Runtime {_full_name(runtime)}" for runtime in await _runtimes(api, node)] + [f"EdgeNode {node}"]


async def release(api: ApiClient, namespace: str, node: str) -> list[str]:
    """Let it go; what was. Raises errors.SettingError when the node is not away, errors.ApiError; may be repeated."""
    lines = await belongings(api, node)
    for runtime in await _runtimes(api, node):
        await _delete(api, runtime)
    for kind, name, where in (
        (core_kinds.LEASES, node_lease.name_of(node), namespace),
        (kinds.EDGE_NODES, node, ""),
    ):
        with contextlib.suppress(errors.NotFoundError):
            await api.delete(kind, name, where)
    return lines


async def _refuse_unless_away(api: ApiClient, node: str) -> None:
    try:
        found = await api.get(kinds.EDGE_NODES, node)
    except errors.NotFoundError:
        raise errors.SettingError(f"there is no node {node}: see `kubectl get edgenodes`") from None
    if not away.message(found):
        raise errors.SettingError(
            f"node {node} is there: what it runs is removed on the host itself, with `edge-controller purge`"
        )


async def _runtimes(api: ApiClient, node: str) -> list[dict[str, Any]]:
    return await api.list(kinds.RUNTIMES, field_selector=f"spec.nodeName={node}")


async def _delete(api: ApiClient, runtime: dict[str, Any]) -> None:
    """With the finalizer that only the lost node would take off; a pod's is the leader's business."""
    metadata = runtime["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    with contextlib.suppress(errors.NotFoundError):
        await api.delete(kinds.RUNTIMES, name, namespace, uid=metadata["uid"])
        if runtime["spec"].get("backend") != "Pod":
            others = [entry for entry in metadata.get("finalizers") or () if entry != names.FINALIZER]
            await api.patch(kinds.RUNTIMES, name, namespace, {"metadata": {"finalizers": others}})


def _full_name(runtime: dict[str, Any]) -> str:
    return f"{runtime['metadata']['namespace']}/{runtime['metadata']['name']}"
