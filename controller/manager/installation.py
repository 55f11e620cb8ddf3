"""The context of every part: settings, identity, and the owners of loops and clean-up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from controller import errors
from controller.disk import Disk
from controller.health import Liveness
from controller.machinery.supervisor import Supervisor
from controller.settings import Settings
from controller.state import State

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Installation:
    """One running controller. ``stack`` stops the parts in reverse order; ``disk`` is that of the state."""

    settings: Settings
    state: State
    install_id: str
    node_name: str
    liveness: Liveness
    supervisor: Supervisor
    stack: AsyncExitStack
    disk: Disk

    @property
    def embedded(self) -> bool:
        """Whether the Kubernetes API is the embedded one, which means that this is the only node."""
        return self.settings.api == "embedded"

    @property
    def can_lead(self) -> bool:
        """Whether this process has a role that only the leader performs."""
        return bool({"link", "pods"} & set(self.settings.roles))

    def term(self, stack: AsyncExitStack) -> Installation:
        """Return a copy for the parts of one term as leader, which end before the process."""
        return replace(self, supervisor=Supervisor(), stack=stack)


Agree = Callable[[str | None], Awaitable[str]]
"""Returns the install id shared by all processes of an installation, given this process's preferred one."""


async def identify(settings: Settings, state: State, stack: AsyncExitStack, agree: Agree | None) -> Installation:
    """Determine the identity, which is fixed at the first start; ``agree`` is for several processes."""
    preferred = await asyncio.to_thread(_agent_id, settings)
    if agree is not None and not await asyncio.to_thread(state.known_install_id):
        preferred = await agree(preferred)
    return Installation(
        settings=settings,
        state=state,
        install_id=await asyncio.to_thread(state.install_id, preferred),
        node_name=await asyncio.to_thread(state.node_name, settings.node_name),
        liveness=Liveness(),
        supervisor=Supervisor(),
        stack=stack,
        disk=Disk(state.directory),
    )


def _agent_id(settings: Settings) -> str | None:
    """Return the CN of the client certificate, even of an invalid one, as it only serves as a name."""
    from controller.cloud import identity  # noqa: PLC0415 - loads cryptography; in a thread while the API starts

    try:
        return identity.agent_id(settings.client_cert)
    except errors.IdentityError as error:
        log.debug("No agent id yet: %s", error)
        return None
