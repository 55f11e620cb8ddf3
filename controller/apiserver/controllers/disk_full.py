"""Handle a full disk of the store: report it, free space inside the database, refill the reserve afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from controller import names
from controller.apiserver.controllers.control_loop import control_loop
from controller.apiserver.storage.store import Store
from controller.disk import Disk

SECONDS = 5.0
FIRST_SECONDS = 1.0  # delay, since a start has other things to write first
REFILL_ROUNDS = 12  # refill the reserve once a minute


class DiskFullController:
    """``notify`` records an Event with a reason and a message."""

    def __init__(self, store: Store, disk: Disk, notify: Callable[[str, str], Awaitable[None]]) -> None:
        self._store = store
        self._disk = disk
        self._notify = notify
        self._reported = False
        self._started = False
        self._round = 0
        self.controller = control_loop("free disk space", self.check, period=SECONDS)

    async def check(self) -> float | None:
        """If the disk is full, report it and shorten the history; otherwise maintain the reserve.

        Returns the seconds until the next check, None for the usual ones. Raises errors.DiskFullError.
        """
        if not self._started:
            self._started = True
            return FIRST_SECONDS
        fault = await asyncio.to_thread(self._disk.check)
        await (self._make_room(fault) if fault else self._refill_reserve())
        return None

    async def _make_room(self, fault: str) -> None:
        self._round = 0
        # Compaction first: it frees the pages into which the Event is written.
        await self._store.compact()
        if not self._reported:
            await self._notify(names.DISK_FULL, fault)
            self._reported = True

    async def _refill_reserve(self) -> None:
        self._reported = False
        if self._round == 0:
            await self._store.refill()
        self._round = (self._round + 1) % REFILL_ROUNDS
