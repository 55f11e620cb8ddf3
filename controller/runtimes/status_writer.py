"""Writes the status of one Runtime during a pass: what changed and nothing else, a crash loop at its pace.

The status has this one writer, so a merge patch of the changed fields cannot undo what somebody else wrote.
"""

from __future__ import annotations

from typing import Any

from controller import errors
from controller.api import kinds
from controller.api.runtime_status import RuntimeStatus
from controller.machinery.client import ApiClient
from controller.runtimes import status
from controller.runtimes.keys import Key
from controller.runtimes.status_throttle import StatusThrottle


class StatusWriter:
    """``current`` is the status as the API has it, and ``known`` the same as read; ``pace`` and ``uid`` of the Runtime
    hold back a crash loop, and keep what the API does not take. ``outage`` is why no write need be tried.
    """

    def __init__(
        self,
        api: ApiClient,
        key: Key,
        current: dict[str, Any],
        known: RuntimeStatus,
        pace: StatusThrottle,
        uid: str,
        outage: errors.ApiError | None = None,
    ) -> None:
        self._api = api
        self._key = key
        self._current = current
        self._known = known
        self._pace = pace
        self._uid = uid
        self._outage = outage

    @property
    def written(self) -> RuntimeStatus:
        """The status that the API has, as far as this pass knows."""
        return self._known

    @property
    def throttled(self) -> bool:
        """Whether a crash loop uses up the writes there are, so that needless ones are better left out."""
        return self._pace.throttled(self._uid)

    async def write_paced(self, new: RuntimeStatus) -> float:
        """Bring the API's status to ``new`` unless it must wait; in how many seconds, 0 when it is written.

        Raises errors.ApiError.
        """
        seconds = self._pace.hold(self._uid, self._known, new)
        if not seconds:
            await self.write(new)
        return seconds

    async def write(self, new: RuntimeStatus) -> None:
        """Bring the API's status to ``new``; on disk when this returns. Raises errors.ApiError, and keeps it then."""
        wire = new.wire()
        if patch := status.changes(self._current, wire):
            try:
                await self._send(patch)
            except errors.ApiError:
                self._pace.keep(self._uid, new)
                raise
        self._pace.written(self._uid, self._known, new)
        self._current, self._known = wire, new

    async def _send(self, patch: dict[str, Any]) -> None:
        if self._outage is not None:
            raise self._outage
        key = self._key
        await self._api.patch(kinds.RUNTIMES, key.name, key.namespace, {"status": patch}, subresource="status")
