"""What every part is built with: settings, who we are, and who owns loops and clean-up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from controller import errors
from controller.disk import Disk
from controller.health import Beats
from controller.machinery.supervisor import Supervisor
from controller.settings import Settings
from controller.state import State

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Installation:
    """One running controller. What is pushed on ``stack`` is stopped in reverse order; ``disk`` is the state's."""

    settings: Settings
    state: State
    install_id: str
    node_name: str
    beats: Beats
    supervisor: Supervisor
    stack: AsyncExitStack
    disk: Disk

    @property
    def embedded(self) -> bool:
        """Whether the Kubernetes API is our own: then this node is the only one."""
        return self.settings.api == "embedded"

    @property
    def leads(self) -> bool:
        """Whether this process does what only one of all may do."""
        return bool({"link", "pods"} & set(self.settings.roles))

    def term(self, stack: AsyncExitStack) -> Installation:
        """The same, for parts that end before the process does."""
        return replace(self, supervisor=Supervisor(), stack=stack)


Agree = Callable[[str | None], Awaitable[str]]
"""The install id that all processes of an installation use, from the one preferred here."""


async def identify(settings: Settings, state: State, stack: AsyncExitStack, agree: Agree | None) -> Installation:
    """Who this installation is, from its first start on; ``agree`` where there are other processes."""
    preferred = await asyncio.to_thread(_agent_id, settings)
    if agree is not None and not await asyncio.to_thread(state.known_install_id):
        preferred = await agree(preferred)
    return Installation(
        settings=settings,
        state=state,
        install_id=await asyncio.to_thread(state.install_id, preferred),
        node_name=await asyncio.to_thread(state.node_name, settings.node_name),
        beats=Beats(),
        supervisor=Supervisor(),
        stack=stack,
        disk=Disk(state.directory),
    )


def _agent_id(settings: Settings) -> str | None:
    """The CN of the client certificate, valid or not: it only names us."""
    from controller.cloud import identity  # noqa: PLC0415 - cryptography, in a thread while the API starts

    try:
        return identity.agent_id(settings.client_cert)
    except errors.IdentityError as error:
        log.debug("no agent id yet: %s", error)
        return None
