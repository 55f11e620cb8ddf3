"""The engine's events as identities of runtimes that changed.

Subscribes again for ever; after each subscription everything may have changed, for events are lost in between.
What is not taken in time is kept once for each runtime, so the memory is bounded by their number.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from controller import errors
from controller.api import reasons
from controller.backends.base import Contact, Identity
from controller.backends.docker.containers import labels
from controller.backends.docker.containers.exits import ContainerExits
from controller.backends.docker.containers.inventory import Containers
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.client import Engine, url
from controller.backends.docker.engine.streams import json_lines
from controller.machinery.backoff import Backoff
from controller.machinery.supervisor import while_running

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

log = logging.getLogger(__name__)

_RETRY_SECONDS = (0.25, 10.0)  # the first delay and the longest
# Without the list of events every exec and archive call would be one.
_EVENTS = ("start", "die", "destroy", "oom", "health_status", "pause", "unpause", "rename", "connect", "disconnect")
_FILTERS = json.dumps({"type": ["container", "network"], "event": list(_EVENTS)})


class Events:
    """Follows one engine for one installation."""

    def __init__(self, engine: Engine, containers: Containers, endings: ContainerExits, install_id: str) -> None:
        self._engine = engine
        self._containers = containers
        self._endings = endings
        self._install_id = install_id
        self._known: dict[str, Identity] = {}

    async def changes(self) -> AsyncIterator[Identity | Contact]:
        """Identities of runtimes that changed, for ever; STANDS at first and after a gap, LOST when one begins.

        An engine that is away at first is a gap as well.
        """
        pending: dict[Identity | Contact, None] = {}
        arrived = asyncio.Event()

        def keep(change: Identity | Contact) -> None:
            pending.pop(change, None)  # the last one told of the contact is how it stands
            pending[change] = None
            arrived.set()

        follower = asyncio.create_task(self._follow_for_ever(keep))
        try:
            while True:
                await while_running(arrived.wait(), follower)
                arrived.clear()
                while pending:
                    change = next(iter(pending))
                    del pending[change]
                    yield change
        finally:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)

    async def _follow_for_ever(self, keep: Callable[[Identity | Contact], None]) -> None:
        backoff, last_error, stood = Backoff(*_RETRY_SECONDS), "", True
        while True:
            try:
                async with aclosing(self._subscription()) as subscription:
                    async for change in subscription:
                        stood, last_error = True, ""
                        backoff.reset()
                        keep(change)
                log.warning("the event stream of Docker ended")
            except (errors.ReconcileError, failures.Refusal, ValueError) as error:
                log.log(_level(error, last_error), "no events from Docker: %s", error)
                last_error = str(error)
            if stood:
                keep(Contact.LOST)
                stood = False
            await self._engine.pause(backoff.next())

    async def _subscription(self) -> AsyncGenerator[Identity | Contact, None]:
        """STANDS once it stands, then one identity for each event, until the engine goes away."""

        def opened(client: APIClient) -> Response:
            address = url(client, "/events")
            return client.get(address, params={"filters": _FILTERS}, stream=True, timeout=(5.0, None))

        # First the subscription, then the look: what happens between the two is seen twice rather than never.
        async with aclosing(await self._engine.events(opened)) as stream, aclosing(json_lines(stream)) as events:
            found = await self._containers.of_install(self._install_id)
            self._known = {entry["Id"]: identity for identity, entry in found}
            yield Contact.CONNECTED
            async for event in events:
                if identity := self._identity(event):
                    yield identity

    def _identity(self, event: dict[str, Any]) -> Identity | None:
        attributes = (event.get("Actor") or {}).get("Attributes") or {}
        if event.get("Type") == "network":
            # Only the container is named, and only those that we know are ours.
            return self._known.get(attributes.get("container", ""))
        container = str((event.get("Actor") or {}).get("ID", ""))
        identity = labels.identity(attributes, self._install_id)
        if identity:
            self._endings.note(event)
        if identity and event.get("Action") == "destroy":
            self._known.pop(container, None)
        elif identity:
            self._known[container] = identity
        return identity


def _level(error: Exception, last_error: str) -> int:
    """Loud once; that the engine does not answer is the breaker's to tell."""
    away = isinstance(error, errors.Waiting) and error.reason == reasons.DAEMON_UNREACHABLE
    return logging.DEBUG if away or str(error) == last_error else logging.WARNING
