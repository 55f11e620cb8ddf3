"""What all processes of one installation share, in one ConfigMap: the install id, and whether the agent is retired.

The leader's pod has no persistent disk; a standalone host keeps both in files (state.py).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Any

from controller import errors
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.state import INSTALL_ID, RETIRED

NAME = "edge-controller"
RETRY_SECONDS = 2.0

log = logging.getLogger(__name__)


class InstallationConfig:
    """The shared configuration of the installation in ``namespace``. Raises errors.ApiError."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    async def install_id(self, preferred: str | None) -> str:
        """The shared id; the first process of an installation sets it to ``preferred``. Waits for the API."""
        while True:  # no controller: nothing starts without the answer
            try:
                return str((await self._read(preferred))[INSTALL_ID])
            except errors.ApiError as error:
                log.warning("Waiting for the installation's ConfigMap: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def retired(self) -> bool:
        """Whether ``delete_orchestrator`` retired the agent."""
        return bool((await self._read(None)).get(RETIRED))

    async def retire(self) -> None:
        """Keep the cloud link down from now on, whichever process leads."""
        await self._write({RETIRED: "by delete_orchestrator; `edge-controller reset` lifts this"})

    async def reset(self) -> bool:
        """Lift the retirement; return whether the agent was retired."""
        was = await self.retired()
        await self._write({RETIRED: None})
        return was

    async def _read(self, preferred: str | None) -> dict[str, Any]:
        try:
            found = await self._api.get(core_kinds.CONFIG_MAPS, NAME, self._namespace)
        except errors.NotFoundError:
            found = await self._create(preferred or secrets.token_hex(4))
        return found.get("data") or {}

    async def _create(self, install_id: str) -> dict[str, Any]:
        metadata = {"name": NAME, "namespace": self._namespace}
        try:
            return await self._api.create(
                core_kinds.CONFIG_MAPS, {"metadata": metadata, "data": {INSTALL_ID: install_id}}
            )
        except errors.AlreadyExistsError:
            # Of processes that start at the same time, the first one's id counts for all.
            return await self._api.get(core_kinds.CONFIG_MAPS, NAME, self._namespace)

    async def _write(self, data: dict[str, str | None]) -> None:
        await self._api.patch(core_kinds.CONFIG_MAPS, NAME, self._namespace, {"data": data})
