"""The only node of a standalone host, as a node directory. It is never away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.errors import CommandError
from controller.node_api.node import Node, Placement


class SingleNode:
    """Implements node_api.node.NodeDirectory with the node in this process."""

    def __init__(self, name: str, node: Node, backend: str) -> None:
        self._node = node
        self._placement = Placement(name, backend)

    async def node_of(self, _runtime: Mapping[str, Any]) -> Node:
        """This node, even if the Runtime names another one: its status reports that mistake."""
        return self._node

    async def available(self) -> Mapping[str, Node]:
        """This node."""
        return {self._placement.node_name: self._node}

    async def choose(self, spec: Mapping[str, Any]) -> Placement:
        """This node. Raises errors.CommandError when the spec names another one."""
        desired = spec.get("nodeName")
        if desired not in (None, self._placement.node_name):
            raise CommandError(f"there is no node {desired}: the only one is {self._placement.node_name}")
        return self._placement
