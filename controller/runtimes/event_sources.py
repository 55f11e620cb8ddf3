"""Sources of keys besides kopf: the engine's events, changes of networks and devices, and a periodic resync.

A supervisor runs their loops. They only add keys; the pass over a key finds out what has to be done.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol

from controller import boottime, errors
from controller.api import kinds, reasons
from controller.backends import base
from controller.backends.protocol import Reconcilable
from controller.machinery.client import ApiClient
from controller.machinery.controller import Controller
from controller.machinery.event_recorder import Type
from controller.network import interfaces
from controller.network.interfaces import ABSENT, LinkState
from controller.network.parents import with_lower_interfaces
from controller.runtimes.keys import INTERFACE, Key, KeyIndex
from controller.runtimes.restart_context import EngineContact
from controller.runtimes.scope import Scope

log = logging.getLogger(__name__)

RESYNC_SECONDS = 60.0
TIMEOUT_SECONDS = 60.0  # of one resync, half of it for the checks
CHECKS_AT_ONCE = 8


class _Listed(NamedTuple):
    """What a resync keeps of a listed Runtime: parsed, a thousand whole objects would take 15 MB."""

    key: Key
    identity: base.Identity
    ours: bool
    text: str  # the object as JSON without its managed fields; "" for one that is not ours


class Keys(Protocol):
    """Accepts keys that need a pass (WorkQueue)."""

    def add(self, key: Key) -> None:
        """Request a pass over the key."""


class EventSources:
    """Adds the keys of the Runtimes that a change concerns. What follows a stream runs until it is cancelled."""

    def __init__(self, queue: Keys, index: KeyIndex, install_id: str) -> None:
        self._queue = queue
        self._index = index
        self._install_id = install_id
        self._at_start: dict[str, LinkState] = {}  # of all interfaces: most parents were there before their Runtimes

    async def follow_engine(
        self,
        changes: Callable[[], AsyncIterator[base.Identity | base.Contact]],
        contact: EngineContact,
        clock: Callable[[], float] = boottime.now,
    ) -> None:
        """Add the key of every runtime with an engine event, and all keys after a gap in them (Backend.changes)."""
        async for change in changes():
            if not isinstance(change, base.Contact):
                self._add(self._index.key_of(change))
                continue
            note = contact.lost if change is base.Contact.LOST else contact.found
            note(clock())
            # When contact is lost as well: each Runtime must report that its state is unknown.
            self._add(*self._index.all())

    async def follow_runtimes(self, changes: Callable[[], AsyncIterator[tuple[str, str]]]) -> None:
        """Add the key of every runtime whose lease or addresses changed: ``changes`` yields namespace and device id."""
        async for namespace, device_id in changes():
            self._add(self._index.key_of(base.Identity(self._install_id, namespace, device_id)))

    async def follow_network(
        self,
        bursts: Callable[[], AsyncGenerator[None, None]],
        state: Callable[[str], LinkState] = interfaces.state,
        present: Callable[[], Iterable[str]] = interfaces.names,
    ) -> None:
        """Add the keys of the Runtimes whose parent interface appeared, disappeared or changed, after each burst.

        A parent that was unplugged and plugged in again has another index; a renamed one no longer exists by its old
        name.
        """
        # Kept if this is called again, so that the first burst also finds what changed in between.
        self._at_start = self._at_start or await asyncio.to_thread(lambda: _states(present(), state))
        before = self._at_start
        async with aclosing(bursts()) as heard:
            async for _ in heard:
                # Nothing else is read: most bursts come from our own containers. A VLAN depends on its lower interface.
                needed = {key: with_lower_interfaces(names) for key, names in self._index.needing(INTERFACE).items()}
                names: set[str] = set().union(*needed.values())
                now = await asyncio.to_thread(_states, names, state)
                changed = {name for name in names if before.get(name, ABSENT) != now[name]}
                before = self._at_start | now
                self._add(*(key for key, own in needed.items() if own & changed))

    def follow_devices(self, kind: str, changed: Callable[[], Awaitable[None]]) -> Controller:
        """Add the keys of all Runtimes that need devices of this kind whenever ``changed`` returns."""

        async def follow() -> float:
            await changed()
            self._add(*self._index.needing(kind))
            return 0.0

        return Controller(f"find the {kind}s", follow)

    def _add(self, *keys: Key | None) -> None:
        for key in keys:
            if key is not None:
                self._queue.add(key)


class Resync:
    """Periodically adds every Runtime of the scope that is not settled, and reports our containers without a Runtime.

    ``is_settled`` tells it from the listed object and the container, without a request to the API: the passes over a
    thousand settled Runtimes would send two thousand. ``record`` records an event, of a subject that stands for this
    host, by type, reason and message. ``orphans`` is the number of such containers at the last resync.
    """

    def __init__(
        self,
        api: ApiClient,
        backend: Reconcilable,
        queue: Keys,
        record: Callable[[Type, str, str], None],
        beat: Callable[[], None],
        *,
        is_settled: Callable[[dict[str, Any]], Awaitable[bool]],
        install_id: str,
        scope: Scope,
        every: float = RESYNC_SECONDS,
        within: float = TIMEOUT_SECONDS,
    ) -> None:
        self._api = api
        self._backend = backend
        self._queue = queue
        self._record = record
        self._is_settled = is_settled
        self._install_id = install_id
        self._scope = scope
        self._check_seconds = within / 2
        self._reported: set[base.LabeledContainer] = set()
        self.orphans = 0
        self.controller = Controller(
            f"resync the {scope.backend} runtimes", self._resync, period=every, timeout=within, beat=beat
        )

    async def _resync(self) -> None:
        """Resync; an unreachable engine is no failure, as the engine's event source logs it."""
        try:
            await self.resync()
        except errors.Waiting as error:
            if error.reason != reasons.DAEMON_UNREACHABLE:
                raise

    async def resync(self) -> None:
        """Add the Runtimes that are not settled, then report orphaned containers. Raises errors.EdgeError."""
        found = await self._runtimes()
        ours = [one for one in found if one.ours]
        await self._add_unsettled(ours, Counter(one.identity for one in found))
        containers = await self._backend.list_containers()
        self._add_replaced(ours, containers)
        await self._report_orphans(containers, {one.identity for one in found})

    async def _add_unsettled(self, ours: Iterable[_Listed], sharing: Counter[base.Identity]) -> None:
        unchecked = {one.key: one for one in ours}
        listed = iter(list(unchecked.values()))

        async def check() -> None:
            for one in listed:
                if sharing[one.identity] > 1 or not await self._is_settled(json.loads(one.text)):
                    self._queue.add(one.key)
                del unchecked[one.key]

        try:
            async with asyncio.timeout(self._check_seconds), asyncio.TaskGroup() as group:
                # Not all at once: a thousand tasks would wait for the engine, and hold up the rest of the process.
                for _ in range(CHECKS_AT_ONCE):
                    group.create_task(check())
        except TimeoutError:
            # A slow engine must not keep those at the end of the list from a pass, at each resync again.
            for key in unchecked:
                self._queue.add(key)

    def _add_replaced(self, ours: Iterable[_Listed], containers: Iterable[base.LabeledContainer]) -> None:
        """Add the Runtimes with two containers: an interrupted replacement has left the old one."""
        counts = Counter(container.identity for container in containers)
        for one in ours:
            if counts[one.identity] > 1:
                self._queue.add(one.key)

    async def _runtimes(self) -> Sequence[_Listed]:
        return await self._api.extracts(kinds.RUNTIMES, self._listed, field_selector=self._scope.selector)

    def _listed(self, body: dict[str, Any]) -> _Listed:
        metadata, spec = body["metadata"], body["spec"]
        identity = base.Identity(self._install_id, metadata["namespace"], spec["deviceId"])
        # The selector does not suffice: with ``claims`` it is empty.
        ours = not self._scope.elsewhere(spec)
        text = json.dumps({**body, "metadata": {**metadata, "managedFields": None}}) if ours else ""
        return _Listed(Key(metadata["namespace"], metadata["name"]), identity, ours, text)

    async def _report_orphans(
        self, containers: Iterable[base.LabeledContainer], identities: set[base.Identity]
    ) -> None:
        orphans = {container for container in containers if container.identity not in identities}
        if orphans - self._reported:
            # Once more: the Runtime of a container may have been created since the first list.
            now = {one.identity for one in await self._runtimes()}
            orphans = {orphan for orphan in orphans if orphan.identity not in now}
        # Once per container: a resync follows every minute.
        for orphan in orphans - self._reported:
            self._report(orphan)
        self._reported = orphans
        self.orphans = len(orphans)

    def _report(self, orphan: base.LabeledContainer) -> None:
        message = f"Container {orphan.name} has no Runtime: create it again to adopt it, or run `docker rm -f`"
        log.warning("%s", message)
        self._record("Warning", reasons.ORPHANED, message)


def _states(names: Iterable[str], state: Callable[[str], LinkState]) -> dict[str, LinkState]:
    return {name: state(name) for name in names}
