"""Removes the objects of a node that will not come back: on a person's request, never automatically (design 18).

Its Runtimes are deleted because their node cannot be changed; whoever created them creates them again, on another node.
"""

from __future__ import annotations

import contextlib
from typing import Any

from controller import errors, names
from controller.api import edgenodes, kinds
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.nodes.cluster import node_lease


async def list_objects(api: ApiClient, node: str) -> list[str]:
    """What ``release`` would delete, one line each. Raises errors.SettingError when the node is not away, ApiError."""
    await _refuse_unless_away(api, node)
    return [f"Runtime {_full_name(runtime)}" for runtime in await _runtimes(api, node)] + [f"EdgeNode {node}"]


async def release(api: ApiClient, namespace: str, node: str) -> list[str]:
    """Delete the node's objects and return them, one line each. Safe to repeat.

    Raises errors.SettingError when the node is not away, errors.ApiError.
    """
    lines = await list_objects(api, node)
    for runtime in await _runtimes(api, node):
        await _delete(api, runtime)
    # The EdgeNode comes last: without it, a repetition after a failure would be refused.
    for kind, name, where in (
        (core_kinds.LEASES, node_lease.name_of(node), namespace),
        (kinds.EDGE_NODES, node, ""),
    ):
        await api.delete(kind, name, where)
    return lines


async def _refuse_unless_away(api: ApiClient, node: str) -> None:
    try:
        found = await api.get(kinds.EDGE_NODES, node)
    except errors.NotFoundError:
        raise errors.SettingError(f"there is no node {node}: see `kubectl get edgenodes`") from None
    if not edgenodes.away_message(found):
        raise errors.SettingError(
            f"node {node} is not away: remove its runtimes on the host itself with `edge-controller purge`"
        )


async def _runtimes(api: ApiClient, node: str) -> list[dict[str, Any]]:
    return await api.list(kinds.RUNTIMES, field_selector=f"spec.nodeName={node}")


async def _delete(api: ApiClient, runtime: dict[str, Any]) -> None:
    """Delete the Runtime, and the finalizer that only the lost node would remove; the leader handles those of pods."""
    metadata = runtime["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    await api.delete(kinds.RUNTIMES, name, namespace, uid=metadata["uid"])
    if runtime["spec"].get("backend") != "Pod":
        # A merge patch replaces the whole list, so it must contain the finalizers of others.
        others = [entry for entry in metadata.get("finalizers") or () if entry != names.FINALIZER]
        with contextlib.suppress(errors.NotFoundError):
            await api.patch(kinds.RUNTIMES, name, namespace, {"metadata": {"finalizers": others}})


def _full_name(runtime: dict[str, Any]) -> str:
    return f"{runtime['metadata']['namespace']}/{runtime['metadata']['name']}"
