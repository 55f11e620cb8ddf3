"""The one node of a host of its own, as the nodes of an agent (cloud.node.Nodes): nothing is ever away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.cloud.node import Node, Placement
from controller.errors import CommandError


class SingleNode:
    """Satisfies cloud.node.Nodes with the node in this process."""

    def __init__(self, name: str, node: Node, backend: str) -> None:
        self._node = node
        self._place = Placement(name, backend)

    async def running(self, _runtime: Mapping[str, Any]) -> Node:
        """This one, wherever the Runtime says it belongs: its status tells what is wrong with that."""
        return self._node

    async def present(self) -> Mapping[str, Node]:
        """This one."""
        return {self._place.node_name: self._node}

    async def place(self, spec: Mapping[str, Any]) -> Placement:
        """Here. Raises errors.CommandError when another node is asked for."""
        desired = spec.get("nodeName")
        if desired not in (None, self._place.node_name):
            raise CommandError(f"there is no node {desired}: the only one is {self._place.node_name}")
        return self._place
