"""Starts the embedded Kubernetes API of a standalone host."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

from controller import names
from controller.api import claims, kinds, packaged_crds
from controller.disk import Disk
from controller.machinery.endpoint import Endpoint
from controller.settings import Settings
from controller.state import INSTALL_ID, KUBECONFIG, NODE_NAME, State

USER = "controller"


async def start(
    settings: Settings, state: State, disk: Disk, install_id: str, node_name: str, stack: AsyncExitStack
) -> Endpoint:
    """Serve until ``stack`` is closed; return the controller's own access. Raises errors.SettingError."""
    from controller.apiserver.server import ApiServer  # noqa: PLC0415 - not needed with a cluster
    from controller.apiserver.storage.database import DatabaseOptions  # noqa: PLC0415 - as above
    from controller.apiserver.verbs.reading import Advice  # noqa: PLC0415 - as above

    server = ApiServer(
        state.directory,
        settings.api_listen.host,
        settings.api_listen.port,
        await asyncio.to_thread(packaged_crds.manifests),
        settings.namespace,
        addresses=_addresses(settings) if settings.api_expose else tuple,
        database_options=DatabaseOptions(
            {INSTALL_ID: install_id, NODE_NAME: node_name},
            disk,
            {"apiVersion": names.API_VERSION, "kind": kinds.EDGE_NODES.kind, "name": node_name},
            backup_required=not settings.upgrade_without_backup,
            # It is written below, once there is a database: without one, it proves that the database was lost.
            witness=state.directory / KUBECONFIG,
        ),
    )
    server.advise(kinds.RUNTIMES.qualified, Advice("spec.deviceId", claims.warnings))
    await server.start()
    stack.push_async_callback(server.stop)
    await asyncio.to_thread(server.write_kubeconfig, state.directory / KUBECONFIG)
    if server.socket is not None:
        return Endpoint(server.url, socket=server.socket, direct=server.own_process)
    credentials = await asyncio.to_thread(server.credentials, USER)
    # Use the token: the certificate is renewed each year, but a client reads it only once.
    return Endpoint(server.url, ca_file=credentials.ca, token=credentials.token, direct=server.own_process)


def _addresses(settings: Settings) -> Callable[[], Iterable[str]]:
    """Return a function with the names and addresses by which other hosts reach this one, as these may change."""
    from controller.network.interfaces import HostInterfaces  # noqa: PLC0415 - an API of this host alone starts sooner

    interfaces = HostInterfaces(settings.internal_pool)

    def now() -> Iterable[str]:
        addresses = [address for interface in interfaces.snapshot() for address in interface.ipv4_addresses]
        # They become names in a certificate, and X.509 has only ASCII there (RFC 5280, 4.2.1.6).
        return [name for name in (socket.gethostname(), *addresses) if name.isascii()]

    return now
