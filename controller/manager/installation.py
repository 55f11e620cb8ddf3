"""The identity of this process and its Kubernetes API: all that a start needs before the API answers.

A standalone host and a cluster differ only here, and in the roles that run (roles.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from controller import errors
from controller.cloud import identity
from controller.disk import Disk
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint, from_cluster
from controller.manager import embedded_api
from controller.settings import Settings
from controller.state import State

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class RetirementStore(Protocol):
    """Persistent flag that ``delete_orchestrator`` retired the agent."""

    async def retired(self) -> bool:
        """Return whether the agent is retired."""

    async def retire(self) -> None:
        """Keep the link down from now on."""


class RetirementOnDisk:
    """Stores the retirement of a standalone host."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def retired(self) -> bool:
        """Return whether the agent is retired."""
        return await asyncio.to_thread(lambda: self._state.retired)

    async def retire(self) -> None:
        """Retire the agent."""
        await asyncio.to_thread(self._state.retire)


class Shutdown:
    """The end of this process: ``request`` may be called from a signal handler, any number of times."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self.forget = False

    def request(self, *, forget: bool = False) -> None:
        """Stop the process; with ``forget``, remove the state too, because nothing is left to serve."""
        # A later SIGTERM must not take back that delete_orchestrator removes the state.
        self.forget = self.forget or forget
        self._requested.set()

    async def wait(self) -> None:
        """Wait for the first request."""
        await self._requested.wait()


@dataclass(frozen=True)
class Installation:
    """Settings, identity and API of this process; ``disk`` is that of its state."""

    settings: Settings
    state: State
    disk: Disk
    install_id: str
    node_name: str
    endpoint: Endpoint
    api: ApiClient
    retirement_store: RetirementStore

    @property
    def embedded(self) -> bool:
        """Whether the Kubernetes API is the embedded one, which means that this is the only node."""
        return self.settings.api == "embedded"


async def standalone(settings: Settings, state: State, stack: AsyncExitStack) -> Installation:
    """Start the embedded API. Raises errors.SettingError."""
    # Before the API starts: its database stores both, so that a backup can be restored on another host.
    install_id, node_name = await _identify(settings, state, None)
    disk = Disk(state.directory)
    endpoint = await embedded_api.start(settings, state, disk, install_id, node_name, stack)
    api = _connect(endpoint, stack)
    return Installation(settings, state, disk, install_id, node_name, endpoint, api, RetirementOnDisk(state))


async def in_cluster(
    settings: Settings, state: State, stack: AsyncExitStack, variables: Mapping[str, str], shutdown: Shutdown
) -> Installation | None:
    """Use a cluster's API, waiting until it answers; None if stopped before. Raises errors.SettingError."""
    from controller.nodes.cluster.installation_config import InstallationConfig  # noqa: PLC0415 - not standalone

    endpoint = await _unless_stopped(from_cluster(variables), shutdown)  # a plugin may take its time
    if endpoint is None:
        return None
    api = _connect(endpoint, stack)
    config = InstallationConfig(api, settings.namespace)
    identity = await _unless_stopped(_identify(settings, state, config.install_id), shutdown)
    return identity and Installation(settings, state, Disk(state.directory), *identity, endpoint, api, config)


async def _unless_stopped(work: Coroutine[Any, Any, Result], shutdown: Shutdown) -> Result | None:
    """Return the result of ``work``; None if stopped before."""
    working, stopped = asyncio.create_task(work), asyncio.create_task(shutdown.wait())
    await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if working.done():
        return working.result()
    working.cancel()
    # Not awaited directly: the CancelledError of that task would look like a cancellation of this one.
    await asyncio.wait({working})
    return None


def _connect(endpoint: Endpoint, stack: AsyncExitStack) -> ApiClient:
    client = ApiClient(endpoint)
    stack.push_async_callback(client.close)
    return client


async def _identify(
    settings: Settings, state: State, agree: Callable[[str | None], Awaitable[str]] | None
) -> tuple[str, str]:
    """Return install id and node name, which are fixed at the first start.

    ``agree`` returns the id that all processes of an installation share, given the one that this process prefers.
    """
    preferred = await asyncio.to_thread(_agent_id, settings)
    # An id on disk is not negotiated again: labels and MAC addresses of the host's containers are derived from it.
    if agree is not None and not await asyncio.to_thread(state.known_install_id):
        preferred = await agree(preferred)
    install_id = await asyncio.to_thread(state.install_id, preferred)
    return install_id, await asyncio.to_thread(state.node_name, settings.node_name)


def _agent_id(settings: Settings) -> str | None:
    """Return the CN of the client certificate, even of an invalid one, as it only serves as a name."""
    try:
        return identity.agent_id(settings.client_cert)
    except errors.IdentityError as error:
        log.debug("No agent id yet: %s", error)
        return None
