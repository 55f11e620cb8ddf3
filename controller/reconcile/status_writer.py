"""Writes the status of one Runtime during a pass: what changed and nothing else.

The status has this one writer, so a merge patch of the changed fields cannot undo what somebody else wrote.
"""

from __future__ import annotations

from typing import Any

from controller.reconcile import status
from controller.reconcile.keys import Key
from controller.resources import kinds
from controller.resources.client import ApiClient
from controller.resources.runtime_status import RuntimeStatus


class StatusWriter:
    """``standing`` is the status as the API has it."""

    def __init__(self, api: ApiClient, key: Key, standing: dict[str, Any]) -> None:
        self._api = api
        self._key = key
        self._standing = standing

    async def write(self, new: RuntimeStatus) -> None:
        """Bring the API's status to ``new``; on disk when this returns. Raises errors.ApiError."""
        wire = new.wire()
        patch = status.changes(self._standing, wire)
        if not patch:
            return
        key = self._key
        await self._api.patch(kinds.RUNTIMES, key.name, key.namespace, {"status": patch}, subresource="status")
        self._standing = wire
