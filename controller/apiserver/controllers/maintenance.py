"""Periodic maintenance of the API server: expiry, compaction, certificates, the daily backup."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from controller import boottime, files
from controller.apiserver.access.pki import Pki
from controller.apiserver.controllers.control_loop import control_loop
from controller.apiserver.controllers.expiry import Expiry
from controller.apiserver.storage.store import Store
from controller.boottime import ClockStepDetector

logger = logging.getLogger(__name__)

SECONDS = 60
LOOK_SECONDS = 5


class Maintenance:
    """``renewed`` is called in the event loop after certificates were renewed; ``back_up`` blocks.

    ``clock`` is the wall clock, used for certificates; ``elapsed`` is monotonic.
    """

    def __init__(
        self,
        store: Store,
        pki: Pki,
        clock: Callable[[], float],
        renewed: Callable[[], Awaitable[None]],
        back_up: Callable[[], None],
        elapsed: Callable[[], float] = boottime.now,
    ) -> None:
        self._store = store
        self._back_up = back_up
        self._pki = pki
        self._clock = clock
        self._renewed = renewed
        self._expiry = Expiry(store, elapsed)
        self._clock_steps = ClockStepDetector(clock, elapsed)
        self._elapsed = elapsed
        self._due = elapsed() + SECONDS
        self.controller = control_loop("maintain the API", self._look, period=LOOK_SECONDS)

    async def _look(self) -> None:
        """Run a round every minute, and early if the clock was set, since certificates may have expired."""
        if self._clock_steps.detect() or self._elapsed() >= self._due:
            self._due = self._elapsed() + SECONDS
            await self.once()

    async def _renew(self) -> None:
        """Renew certificates; a disk error must not stop the rest of the round."""
        try:
            if await asyncio.to_thread(self._pki.ensure, self._clock()):
                await self._renewed()
        except OSError as error:
            logger.warning("Cannot renew certificates: %s; %s", error, files.remedy(error))

    async def once(self) -> None:
        """Run one round."""
        await self._renew()
        await self._expiry.sweep()
        await self._store.compact()
        await asyncio.to_thread(self._back_up)
