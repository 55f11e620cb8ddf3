"""What an API server does for itself while it runs: expiry, compaction, certificates, the daily backup."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from controller import boottime, errors, files
from controller.apiserver.access.pki import Pki
from controller.apiserver.controllers.expiry import Expiry
from controller.apiserver.storage.store import Store
from controller.boottime import ClockStepDetector

logger = logging.getLogger(__name__)

SECONDS = 60
LOOK_SECONDS = 5
RETRY_SECONDS = 10


class ControllerSchedule:
    """``renewed`` is called in the loop after certificates were made anew; ``back_up`` blocks.

    ``clock`` is the time of day, which certificates go by; ``elapsed`` is never set.
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

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._sleep()
            await self.once()

    async def _sleep(self) -> None:
        """Until the next round: at once when the clock was set, for that may have ended certificates."""
        for _ in range(SECONDS // LOOK_SECONDS):
            await asyncio.sleep(LOOK_SECONDS)
            if self._clock_steps.detect():
                return

    async def _renew(self) -> None:
        """See to the certificates; a disk that takes no new ones holds up nothing else."""
        try:
            if await asyncio.to_thread(self._pki.ensure, self._clock()):
                await self._renewed()
        except OSError as error:
            logger.warning("Certificates cannot be renewed: %s; %s", error, files.remedy(error))

    async def once(self) -> None:
        """One round."""
        await self._renew()
        await self._expiry.sweep()
        await self._store.compact()
        await asyncio.to_thread(self._back_up)


async def supervise(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run a task that must not end: a failure is told, and it begins again."""
    while True:
        try:
            await work()
        except errors.DiskFullError as error:
            logger.debug("The %s of the API server waits for space: %s", name, error)
        except OSError as error:
            logger.warning("The %s of the API server failed, beginning again in %d s: %s", name, RETRY_SECONDS, error)
        except Exception:
            logger.exception("The %s of the API server failed, beginning again in %d s", name, RETRY_SECONDS)
        await asyncio.sleep(RETRY_SECONDS)
