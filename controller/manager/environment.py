"""The differences between a standalone host and a cluster: the API, and where the identity is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint, from_cluster
from controller.manager import embedded_api
from controller.manager.cloud_link import RetirementOnDisk, RetirementStore
from controller.manager.installation import Installation, identify
from controller.nodes.cluster.installation_config import InstallationConfig
from controller.settings import Settings
from controller.state import State


@dataclass(frozen=True)
class Environment:
    """The installation, its API, and the store of a retirement."""

    installation: Installation
    endpoint: Endpoint
    api: ApiClient
    retirement_store: RetirementStore


async def standalone(settings: Settings, state: State, stack: AsyncExitStack) -> Environment:
    """Start the embedded API. Raises errors.SettingError."""
    installation = await identify(settings, state, stack, None)
    endpoint = await embedded_api.start(installation)
    return Environment(installation, endpoint, embedded_api.connect(endpoint, stack), RetirementOnDisk(state))


async def in_cluster(
    settings: Settings, state: State, stack: AsyncExitStack, environment: Mapping[str, str], stopping: asyncio.Event
) -> Environment | None:
    """Use a cluster's API, waiting until it answers; None if stopped before. Raises errors.SettingError."""
    endpoint = from_cluster(environment)
    api = embedded_api.connect(endpoint, stack)
    config = InstallationConfig(api, settings.namespace)
    identifying = asyncio.create_task(identify(settings, state, stack, config.install_id))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({identifying, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if identifying.cancel():  # it had not finished
        return None
    return Environment(identifying.result(), endpoint, api, config)
