"""What differs between a host of its own and a cluster: whose API it is, and where it is kept who we are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint, of_cluster
from controller.manager import embedded_api as api_part
from controller.manager import installation
from controller.manager.cloud_link import Marker, MarkerOnDisk
from controller.manager.installation import Installation
from controller.nodes.cluster.installation_config import InstallationConfig
from controller.settings import Settings
from controller.state import State


@dataclass(frozen=True)
class Environment:
    """Who we are, the API, and where a retirement is noted."""

    site: Installation
    endpoint: Endpoint
    api: ApiClient
    marker: Marker


async def standalone(settings: Settings, state: State, stack: AsyncExitStack) -> Environment:
    """Start the embedded API. Raises errors.SettingError."""
    site = await installation.identify(settings, state, stack, None)
    endpoint = await api_part.embedded(site)
    return Environment(site, endpoint, api_part.connect(endpoint, stack), MarkerOnDisk(state))


async def in_cluster(
    settings: Settings, state: State, stack: AsyncExitStack, environment: Mapping[str, str], stopping: asyncio.Event
) -> Environment | None:
    """Use a cluster's API, waiting for it where needed; None when stopped meanwhile. Raises errors.SettingError."""
    endpoint = of_cluster(environment)
    api = api_part.connect(endpoint, stack)
    facts = InstallationConfig(api, settings.namespace)
    identifying = asyncio.create_task(installation.identify(settings, state, stack, facts.install_id))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({identifying, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if identifying.cancel():  # it was not done
        return None
    return Environment(identifying.result(), endpoint, api, facts)
