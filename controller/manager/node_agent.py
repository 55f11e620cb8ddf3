"""A cluster node's agent: serves the leader's requests and renews the node's Lease."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from controller.api.edgenodes import NodeApi
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from controller.manager.installation import Installation
from controller.nodes.cluster import certificate
from controller.nodes.cluster.node_authorizer import NodeAuthorizer
from controller.nodes.cluster.node_lease import NodeLease
from controller.nodes.cluster.node_server import NodeServer
from controller.nodes.local_node import LocalNode

LEASE_SECONDS = 60.0


async def start(installation: Installation, endpoint: Endpoint, api: ApiClient, node: LocalNode) -> NodeApi:
    """Start serving and renewing; return the server's address for the EdgeNode. Raises errors.SettingError."""
    listen = installation.settings.node_listen
    own = await asyncio.to_thread(certificate.make)
    access = NodeAuthorizer(api, installation.node_name)
    server = NodeServer(listen.host, listen.port, own.context, access, node, api, installation.node_name)
    await server.start()
    installation.stack.push_async_callback(server.stop)
    beat = installation.liveness.expect("the node's Lease", LEASE_SECONDS)
    lease = NodeLease(api, installation.settings.namespace, installation.node_name, beat)
    installation.supervisor.start("the node's Lease", lease.controller.run)
    host = await asyncio.to_thread(_reachable, listen.host, endpoint.url)
    return NodeApi(url=f"https://{f'[{host}]' if ':' in host else host}:{server.port}", certificate=own.pem)


def _reachable(host: str, api_url: str) -> str:
    """Return the address for other hosts: the one listened on, else our source address towards the Kubernetes API."""
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host
    if not everywhere:
        return host
    api = urlsplit(api_url)
    for family, kind, _, _, address in socket.getaddrinfo(api.hostname, api.port or 443, type=socket.SOCK_DGRAM):
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # UDP: nothing is sent
            return str(probe.getsockname()[0])
    return socket.gethostname()
