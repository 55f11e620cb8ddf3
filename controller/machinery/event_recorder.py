"""Records Kubernetes Events (API reference: core/v1 Event); repeated ones are counted.

Recording never blocks and never raises: events are for people, and no reconcile pass depends on them. The queue is
bounded, and when it is full, warnings take the place of normal events; the number of dropped events is logged when it
is empty again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from controller import boottime, errors, names
from controller.machinery import kinds as core_kinds
from controller.machinery import timestamps
from controller.machinery.client import ApiClient
from controller.machinery.controller import Controller

log = logging.getLogger(__name__)

QUEUE_LIMIT = 256
REMEMBERED = 256
REPEAT_SECONDS = 600  # an equal event within this time increments the count instead of being posted again
MESSAGE_LIMIT = 1024
# Events must not compete for disk and event loop with what they are about, such as a start that somebody waits for.
DELAY_SECONDS = 0.5

Type = Literal["Normal", "Warning"]


@dataclass(frozen=True)
class Subject:
    """The object of an event; events of cluster-scoped objects are in ``default``."""

    kind: core_kinds.Kind
    name: str
    namespace: str = ""
    uid: str = ""

    def reference(self) -> dict[str, str]:
        """Return its ObjectReference."""
        whole = {
            "apiVersion": self.kind.api_version,
            "kind": self.kind.kind,
            "name": self.name,
            "namespace": self.namespace,
            "uid": self.uid,
        }
        return {key: value for key, value in whole.items() if value}


@dataclass(frozen=True)
class EventKey:
    """What happened to a subject; equal keys are the same event."""

    subject: Subject
    type: Type
    reason: str
    message: str


@dataclass
class _Posted:
    """An event in the API, so that a repetition can increment its count."""

    name: str
    namespace: str
    count: int
    at: float  # monotonic


class EventRecorder:
    """Posts events one at a time from a queue; its owner must keep the controller running.

    ``clock`` provides the timestamps of events; ``elapsed`` decides what is a repetition.
    """

    def __init__(
        self, api: ApiClient, instance: str, clock: Callable[[], float], elapsed: Callable[[], float] = boottime.now
    ) -> None:
        self._api = api
        self._instance = instance
        self._clock = clock
        self._elapsed = elapsed
        self._waiting: deque[tuple[EventKey, float]] = deque()  # with the time when it was recorded
        self._flushing = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._posted: OrderedDict[EventKey, _Posted] = OrderedDict()
        self._dropped = 0
        self.controller = Controller("post events", self._post_all)

    def record(self, subject: Subject, kind: Type, reason: str, message: str) -> None:
        """Queue an event."""
        if len(self._waiting) >= QUEUE_LIMIT:
            self._dropped += 1
            if kind == "Normal" or not self._drop_normal():
                return
        self._waiting.append((EventKey(subject, kind, reason, message[:MESSAGE_LIMIT]), self._clock()))
        self._idle.clear()
        self.controller.trigger()

    def _drop_normal(self) -> bool:
        """Drop the oldest normal event; return whether there was one."""
        found = next((index for index, (key, _) in enumerate(self._waiting) if key.type == "Normal"), None)
        if found is not None:
            del self._waiting[found]
        return found is not None

    async def flush(self) -> None:
        """Post all events recorded so far without delay, and wait until they are posted or have failed."""
        self._flushing.set()
        await self._idle.wait()
        self._flushing.clear()

    async def _post_all(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DELAY_SECONDS):
                await self._flushing.wait()
        while self._waiting:
            key, now = self._waiting.popleft()
            try:
                await self._post(key, now)
            except errors.ApiError as error:
                # At DEBUG: the log has the outage from others already, and up to 256 events would repeat it.
                log.debug("Cannot post the event %s of %s: %s", key.reason, key.subject.name, error)
        if self._dropped:
            log.warning("Dropped %d events: the queue was full", self._dropped)
            self._dropped = 0
        self._idle.set()

    async def _post(self, key: EventKey, now: float) -> None:
        # Removed, so that remembering it again moves it to the end: the event that is evicted first is the one not seen
        # for longest. A post that fails leaves nothing behind.
        earlier = self._posted.pop(key, None)
        if earlier and self._elapsed() - earlier.at < REPEAT_SECONDS:
            try:
                self._remember(key, await self._count_up(earlier, now))
            # Somebody deleted it: the API keeps an Event for an hour, longer than REPEAT_SECONDS.
            except errors.NotFoundError:
                self._remember(key, await self._create(key, now))
        else:
            self._remember(key, await self._create(key, now))

    async def _count_up(self, earlier: _Posted, now: float) -> _Posted:
        patch = {"count": earlier.count + 1, "lastTimestamp": timestamps.rfc3339(now)}
        await self._api.patch(core_kinds.EVENTS, earlier.name, earlier.namespace, patch)
        return _Posted(earlier.name, earlier.namespace, earlier.count + 1, self._elapsed())

    async def _create(self, key: EventKey, now: float) -> _Posted:
        body = self._body(key, now)
        await self._api.create(core_kinds.EVENTS, body)
        return _Posted(body["metadata"]["name"], body["metadata"]["namespace"], 1, self._elapsed())

    def _body(self, key: EventKey, now: float) -> dict[str, Any]:
        subject = key.subject
        name = f"{subject.name}.{secrets.token_hex(8)}"
        return {
            "metadata": {"name": name, "namespace": subject.namespace or "default"},
            "involvedObject": subject.reference(),
            "type": key.type,
            "reason": key.reason,
            "message": key.message,
            "count": 1,
            "firstTimestamp": timestamps.rfc3339(now),
            "lastTimestamp": timestamps.rfc3339(now),
            "source": {"component": names.FIELD_MANAGER, "host": self._instance},
            "reportingComponent": names.FIELD_MANAGER,
            "reportingInstance": self._instance,
        }

    def _remember(self, key: EventKey, posted: _Posted) -> None:
        self._posted[key] = posted
        while len(self._posted) > REMEMBERED:
            self._posted.popitem(last=False)
