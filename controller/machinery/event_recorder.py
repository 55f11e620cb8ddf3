"""Kubernetes Events (API reference: core/v1 Event): one for each transition, a repeated one counted up.

Recording never waits and never fails: events are for people, a pass does not depend on them. The queue is bounded;
what does not fit is dropped, and how many were is logged when the queue is empty again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from controller import boottime, errors, names
from controller.machinery import kinds as core_kinds
from controller.machinery import timestamps
from controller.machinery.client import ApiClient

log = logging.getLogger(__name__)

QUEUE_LIMIT = 256
REMEMBERED = 256
REPEAT_SECONDS = 600  # an equal event within this time is counted up instead of posted again
MESSAGE_LIMIT = 1024

Type = Literal["Normal", "Warning"]


@dataclass(frozen=True)
class Subject:
    """The object that an event is about; events of cluster-scoped objects stand in ``default``."""

    kind: core_kinds.Kind
    name: str
    namespace: str = ""
    uid: str = ""

    def reference(self) -> dict[str, str]:
        """Its ObjectReference."""
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
    """What happened to a subject; two equal ones are the same event."""

    subject: Subject
    type: Type
    reason: str
    message: str


@dataclass
class _Posted:
    """An event that is in the API and may be counted up."""

    name: str
    namespace: str
    count: int
    at: float  # by the clock that is never set


class EventRecorder:
    """Posts events one after the other from a queue; ``run`` must be kept running by whoever owns it.

    ``clock`` is the time of day that events carry; what is a repetition is decided by ``elapsed``.
    """

    def __init__(
        self, api: ApiClient, instance: str, clock: Callable[[], float], elapsed: Callable[[], float] = boottime.now
    ) -> None:
        self._api = api
        self._instance = instance
        self._clock = clock
        self._elapsed = elapsed
        self._waiting: asyncio.Queue[EventKey] = asyncio.Queue(QUEUE_LIMIT)
        self._posted: OrderedDict[EventKey, _Posted] = OrderedDict()
        self._dropped = 0

    def record(self, subject: Subject, kind: Type, reason: str, message: str) -> None:
        """Have an event posted soon."""
        try:
            self._waiting.put_nowait(EventKey(subject, kind, reason, message[:MESSAGE_LIMIT]))
        except asyncio.QueueFull:
            self._dropped += 1

    async def run(self) -> None:
        """Post what is recorded, for ever."""
        while True:
            key = await self._waiting.get()
            try:
                await self._post(key)
            except errors.ApiError as error:
                log.debug("Event %s of %s was not posted: %s", key.reason, key.subject.name, error)
            finally:
                self._waiting.task_done()
            if self._dropped and self._waiting.empty():
                log.warning("%d events were not posted: too many came at once", self._dropped)
                self._dropped = 0

    async def flush(self) -> None:
        """Wait until everything recorded so far is posted or given up."""
        await self._waiting.join()

    async def _post(self, key: EventKey) -> None:
        now = self._clock()
        earlier = self._posted.pop(key, None)
        if earlier and self._elapsed() - earlier.at < REPEAT_SECONDS:
            try:
                self._remember(key, await self._count_up(earlier, now))
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
