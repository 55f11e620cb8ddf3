"""Starts the embedded Kubernetes API, and creates clients for it or a cluster's API."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

from controller import names
from controller.api import claims, crds, kinds
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from controller.manager.installation import Installation
from controller.network.interfaces import HostInterfaces
from controller.settings import Settings
from controller.state import INSTALL_ID, KUBECONFIG, NODE_NAME

USER = "controller"


def connect(endpoint: Endpoint, stack: AsyncExitStack) -> ApiClient:
    """Create a client of the API that is closed with ``stack``."""
    client = ApiClient(endpoint)
    stack.push_async_callback(client.close)
    return client


async def start(installation: Installation) -> Endpoint:
    """Start the embedded API. Raises errors.SettingError."""
    from controller.apiserver.server import ApiServer  # noqa: PLC0415 - not needed with a cluster
    from controller.apiserver.storage.database_options import DatabaseOptions  # noqa: PLC0415 - as above

    settings = installation.settings
    server = ApiServer(
        installation.state.directory,
        settings.api_listen.host,
        settings.api_listen.port,
        crds.manifests(),
        settings.namespace,
        addresses=_addresses(settings) if settings.api_expose else tuple,
        database_options=DatabaseOptions(
            {INSTALL_ID: installation.install_id, NODE_NAME: installation.node_name},
            installation.disk,
            {"apiVersion": names.API_VERSION, "kind": kinds.EDGE_NODES.kind, "name": installation.node_name},
            backup_required=not settings.upgrade_without_backup,
            witness=installation.state.directory / KUBECONFIG,
        ),
    )
    server.advise(kinds.RUNTIMES.qualified, claims.warnings)
    await server.start()
    installation.stack.push_async_callback(server.stop)
    await asyncio.to_thread(server.write_kubeconfig, installation.state.directory / KUBECONFIG)
    credentials = await asyncio.to_thread(server.credentials, USER)
    # Use the token: the certificate is renewed each year, but a client reads it only once.
    return Endpoint(server.url, ca_file=credentials.ca, token=credentials.token)


def _addresses(settings: Settings) -> Callable[[], Iterable[str]]:
    """Return a function with the names and addresses by which other hosts reach this one, as these may change."""
    interfaces = HostInterfaces(settings.internal_pool)

    def now() -> Iterable[str]:
        addresses = [address for interface in interfaces.snapshot() for address in interface.ipv4_addresses]
        return [name for name in (socket.gethostname(), *addresses) if name.isascii()]

    return now
