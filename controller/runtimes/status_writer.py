"""Writes the status of one Runtime during a pass: only changed fields, and throttled in a crash loop.

Nothing else writes the status, so a merge patch of the changed fields cannot revert another writer's change.
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
    """``current`` is the status in the API, ``known`` the same parsed. ``throttle`` limits the writes of the Runtime
    with this ``uid`` and keeps what the API does not accept. ``outage``: the error to raise instead of any write.
    """

    def __init__(
        self,
        api: ApiClient,
        key: Key,
        current: dict[str, Any],
        known: RuntimeStatus,
        throttle: StatusThrottle,
        uid: str,
        outage: errors.ApiError | None = None,
    ) -> None:
        self._api = api
        self._key = key
        self._current = current
        self._known = known
        self._throttle = throttle
        self._uid = uid
        self._outage = outage

    @property
    def written(self) -> RuntimeStatus:
        """The status in the API, as far as this pass knows."""
        return self._known

    @property
    def throttled(self) -> bool:
        """Whether a crash loop has used up its writes, so that optional writes should be skipped."""
        return self._throttle.throttled(self._uid)

    async def write_paced(self, new: RuntimeStatus) -> float:
        """Write ``new`` unless it is throttled; the seconds until it may be written, 0 if it is written.

        Raises errors.ApiError.
        """
        seconds = self._throttle.hold(self._uid, self._known, new)
        if not seconds:
            await self.write(new)
        return seconds

    async def attempt(self, new: RuntimeStatus | None) -> errors.ApiError | None:
        """Write ``new``, if any, and return the error if that fails."""
        try:
            if new is not None:
                await self.write(new)
        except errors.ApiError as error:
            return error
        return None

    async def write(self, new: RuntimeStatus) -> None:
        """Write ``new``; it is on disk when this returns.

        Raises errors.ApiError and keeps it for later, unless the Runtime is gone.
        """
        wire = new.wire()
        if patch := status.changes(self._current, wire):
            try:
                await self._send(patch)
            except errors.NotFoundError:
                self._throttle.forget(self._uid)
                raise
            except errors.ApiError:
                self._throttle.keep(self._uid, new)
                raise
        # Also without a patch: a held status equals the written one then and is due no more.
        self._throttle.written(self._uid, self._known, new)
        self._current, self._known = wire, new

    async def _send(self, patch: dict[str, Any]) -> None:
        if self._outage is not None:
            raise self._outage
        key = self._key
        # The uid makes the API refuse the write if another object has the name by now.
        whole = {"metadata": {"uid": self._uid}, "status": patch}
        await self._api.patch(kinds.RUNTIMES, key.name, key.namespace, whole, subresource="status")
