"""Translates the engine's events into identities of changed runtimes.

Resubscribes forever; after each subscription anything may have changed, because events in between are lost.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
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
from controller.machinery.backoff import Backoff, Retry
from controller.machinery.pending import PendingSet

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

log = logging.getLogger(__name__)

_RETRY_SECONDS = (0.25, 10.0)  # the first delay and the longest
# Without this list, every exec and archive call would send events.
_EVENTS = ("start", "die", "destroy", "oom", "health_status", "pause", "unpause", "rename", "connect", "disconnect")
# No filter by label: an event of a network has no labels of the container that joins or leaves it.
_FILTERS = json.dumps({"type": ["container", "network"], "event": list(_EVENTS)})


class Events:
    """Follows one engine for one installation."""

    def __init__(self, engine: Engine, containers: Containers, exits: ContainerExits, install_id: str) -> None:
        self._engine = engine
        self._containers = containers
        self._exits = exits
        self._install_id = install_id
        self._known: dict[str, Identity] = {}

    def changes(self) -> AsyncIterator[Identity | Contact]:
        """Yield the identity of each runtime that changes, forever; CONNECTED at first and after a gap, LOST before it.

        An engine that is unreachable at first counts as a gap, too.
        """
        pending = PendingSet[Identity | Contact]()
        return pending.filled_by(self._follow(pending))

    async def _follow(self, pending: PendingSet[Identity | Contact]) -> None:
        retry, connected = Retry("follow Docker's events", log, Backoff(*_RETRY_SECONDS)), True
        while True:  # no controller: the breaker ends its pauses early, when the engine is back
            try:
                async with aclosing(self._subscription()) as subscription:
                    async for change in subscription:
                        connected = True
                        retry.succeeded()
                        pending.add(change)
                delay = retry.failed("the stream ended")
            except (errors.ReconcileError, failures.Refusal, ValueError) as error:
                delay = retry.failed(str(error), quiet=_is_away(error))
            if connected:
                pending.add(Contact.LOST)
                connected = False
            await self._engine.pause(delay)

    async def _subscription(self) -> AsyncGenerator[Identity | Contact, None]:
        """Yield CONNECTED once subscribed, then one identity for each event, until the engine goes away."""

        def open_stream(client: APIClient) -> Response:
            # No read timeout: an idle engine sends nothing for hours. The breaker ends the stream of one that hangs.
            address = url(client, "/events")
            return client.get(address, params={"filters": _FILTERS}, stream=True, timeout=(5.0, None))

        # Subscribe before listing: a change between the two is reported twice rather than missed.
        async with aclosing(await self._engine.events(open_stream)) as stream, aclosing(json_lines(stream)) as events:
            found = await self._containers.of_install(self._install_id)
            self._known = {entry["Id"]: identity for identity, entry in found}
            yield Contact.CONNECTED
            async for event in events:
                if identity := self._identity(event):
                    yield identity

    def _identity(self, event: dict[str, Any]) -> Identity | None:
        attributes = (event.get("Actor") or {}).get("Attributes") or {}
        if event.get("Type") == "network":
            # These events carry only the container's id, so look up which runtime it belongs to.
            return self._known.get(attributes.get("container", ""))
        container = str((event.get("Actor") or {}).get("ID", ""))
        identity = labels.identity_of(attributes, self._install_id)
        if identity:
            self._exits.note(event)
        if identity and event.get("Action") == "destroy":
            self._known.pop(container, None)
        elif identity:
            self._known[container] = identity
        return identity


def _is_away(error: Exception) -> bool:
    """Whether the engine is unreachable, which the breaker logs."""
    return isinstance(error, errors.Waiting) and error.reason == reasons.DAEMON_UNREACHABLE
