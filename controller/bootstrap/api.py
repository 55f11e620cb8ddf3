"""The Kubernetes API that everything else uses: our own, started here, or a cluster's."""

from __future__ import annotations

import asyncio
import os

from controller.bootstrap.installation import Installation
from controller.resources import crds
from controller.resources.client import ApiClient
from controller.resources.endpoint import Endpoint, of_cluster
from controller.state import KUBECONFIG

USER = "controller"


async def start(site: Installation) -> tuple[Endpoint, ApiClient]:
    """The API and a client of it. Raises errors.SettingError when there is none."""
    endpoint = await _embedded(site) if site.embedded else of_cluster(os.environ)
    client = ApiClient(endpoint)
    site.stack.push_async_callback(client.close)
    return endpoint, client


async def _embedded(site: Installation) -> Endpoint:
    from controller.apiserver.server import ApiServer  # noqa: PLC0415 - not needed with a cluster

    settings = site.settings
    server = ApiServer(
        site.state.directory,
        settings.api_listen.host,
        settings.api_listen.port,
        crds.manifests(),
        settings.namespace,
    )
    await server.start()
    site.stack.push_async_callback(server.stop)
    await asyncio.to_thread(server.write_kubeconfig, site.state.directory / KUBECONFIG)
    ours = await asyncio.to_thread(server.credentials, USER)
    return Endpoint(server.url, ca_file=ours.ca, client_cert=ours.certificate, client_key=ours.key)
