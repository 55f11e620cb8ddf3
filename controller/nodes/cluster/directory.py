"""The nodes of a cluster, as the leader finds them through their EdgeNodes. Implements node_api.node.NodeDirectory.

``reading`` is for the heartbeat: the sum over all hosts, refreshed every few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller import errors
from controller.api import edgenodes, kinds
from controller.machinery.client import ApiClient
from controller.machinery.controller import Controller
from controller.node_api import aggregation
from controller.node_api.node import Node, Placement, Reading
from controller.nodes.cluster import placement
from controller.nodes.cluster.placement import Candidate
from controller.nodes.cluster.remote_node import Address, RemoteNode

REFRESH_SECONDS = 5.0


class ClusterNodeDirectory:
    """``token`` is the file with our token for nodes of 0.1; with ``pods``, Runtimes may go to nodes without Docker."""

    def __init__(self, api: ApiClient, token: Path, *, pods: bool) -> None:
        self._api = api
        self._token = token
        self._pods = pods
        self._clients: dict[Address, RemoteNode] = {}
        self._readings: dict[str, Reading] = {}
        self.controller = Controller("query the nodes", self.refresh, period=REFRESH_SECONDS)

    async def close(self) -> None:
        """Close all connections."""
        # Taken out before the first await, so that none is closed twice.
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.close()

    async def node_of(self, runtime: Mapping[str, Any]) -> Node:
        """The node of a Runtime. Raises errors.CommandError when it has none or its node is away."""
        name = runtime["spec"].get("nodeName")
        if not name:
            raise errors.CommandError(f"{runtime['spec']['deviceId']} has no node yet: try again in a moment")
        try:
            found = await self._api.get(kinds.EDGE_NODES, name)
        except errors.NotFoundError:
            raise errors.CommandError(f"there is no node {name}: start the controller there") from None
        if reason := edgenodes.away_message(found):
            raise errors.CommandError(reason)
        address = _address(found)
        if address is None:
            raise errors.CommandError(f"node {name} has not published its address: check the controller there")
        return self._client(address)

    async def available(self) -> Mapping[str, Node]:
        """Every node that is not away and has published its address, by name."""
        found = [node for node in await self._api.list(kinds.EDGE_NODES) if not edgenodes.away_message(node)]
        addresses = [address for node in found if (address := _address(node))]
        await self._close_all_except(addresses)
        return {address.name: self._client(address) for address in addresses}

    async def choose(self, spec: Mapping[str, Any]) -> Placement:
        """Choose a node for a Runtime. Raises errors.CommandError, which says what each node has.

        An EdgeNode lists no bridges and is up to a minute old, so the nodes themselves are queried before refusing.
        """
        found = await self._api.list(kinds.EDGE_NODES)
        try:
            return placement.choose([Candidate.of(node) for node in found], spec, pods=self._pods)
        except errors.CommandError as refusal:
            candidates = await asyncio.gather(*(self._current_candidate(node) for node in found))
            try:
                return placement.choose(candidates, spec, pods=self._pods)
            except errors.CommandError:
                # The first refusal names what people see in the EdgeNodes, without every bridge and veth pair.
                raise refusal from None

    @property
    def reading(self) -> Reading:
        """The sum over all hosts, from their latest answers."""
        return aggregation.reading(list(self._readings.values()))

    async def refresh(self) -> None:
        """Query all hosts; one that does not answer keeps its last reading until it is away."""
        try:
            nodes = await self.available()
        # An unavailable API says nothing about the hosts: their last readings stay.
        except errors.ApiError:
            return
        found = await asyncio.gather(*(_reading(node) for node in nodes.values()))
        latest = {name: reading for name, reading in zip(nodes, found, strict=True) if reading is not None}
        self._readings = {name: value for name, value in (self._readings | latest).items() if name in nodes}

    async def _current_candidate(self, edge_node: Mapping[str, Any]) -> Candidate:
        """The node with its current interfaces of every kind; if it does not answer, those in its EdgeNode."""
        candidate, address = Candidate.of(edge_node), _address(edge_node)
        if candidate.away or address is None:
            return candidate
        try:
            interfaces = await self._client(address).interfaces(include_virtual=True)
        except (errors.CommandError, errors.ReconcileError):
            return candidate
        return candidate._replace(interfaces={interface.name: interface.subnet for interface in interfaces})

    def _client(self, address: Address) -> Node:
        if address not in self._clients:
            self._clients[address] = RemoteNode(address, self._api, self._token)
        return self._clients[address]

    async def _close_all_except(self, addresses: list[Address]) -> None:
        """Drop other clients. A restarted node has a new certificate, hence a new address and client."""
        for address in self._clients.keys() - set(addresses):
            await self._clients.pop(address).close()


async def _reading(node: Node) -> Reading | None:
    try:
        return await node.reading()
    except (errors.CommandError, errors.ReconcileError):
        return None


def _address(edge_node: Mapping[str, Any]) -> Address | None:
    api = (edge_node.get("status") or {}).get("api") or {}
    if not api.get("url") or not api.get("certificate"):
        return None
    return Address(edge_node["metadata"]["name"], api["url"], api["certificate"])
