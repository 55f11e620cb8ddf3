"""Builds what a node has in a cluster only: its Lease, its pods, and the server that answers the leader's queries."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from controller import listening
from controller.api.edgenodes import NodeApi
from controller.manager.environment import Environment
from controller.nodes.cluster import certificate
from controller.nodes.cluster.node_authorizer import NodeAuthorizer
from controller.nodes.cluster.node_lease import NodeLease
from controller.nodes.cluster.node_server import NodeServer
from controller.nodes.local_node import LocalNode
from controller.nodes.pod_containers import PodContainers

LEASE_SECONDS = 60.0  # time without a heartbeat after which the loop counts as stuck


@dataclass(frozen=True)
class NodeAgent:
    """The parts; ``address`` is where the leader queries the node, for the EdgeNode."""

    lease: NodeLease
    pods: PodContainers
    address: NodeApi


async def start(environment: Environment, node: LocalNode) -> NodeAgent:
    """Start answering the leader's queries. Raises errors.SettingError."""
    installation = environment.installation
    api, name, listen = installation.api, installation.node_name, installation.settings.node_listen
    own = await asyncio.to_thread(certificate.make)
    authorizer = NodeAuthorizer(api, name, own.pem)
    server = NodeServer(listen.host, listen.port, own.context, authorizer, node, api, name)
    # Listen first: with port 0 the EdgeNode's URL needs the port that the kernel chose.
    await server.start()
    environment.stack.push_async_callback(server.stop)
    served = installation.settings.served_namespaces.names or ()
    beat = environment.beat("the node's Lease", LEASE_SECONDS)
    # In a thread, as it may resolve a name.
    host = await asyncio.to_thread(listening.host_from_elsewhere, listen.host, installation.endpoint.url)
    return NodeAgent(
        NodeLease(api, installation.settings.namespace, name, beat),
        PodContainers(api, installation.install_id, name, served),
        NodeApi(url=listening.https_url(host, server.port), certificate=own.pem),
    )
