"""What serial devices there are, looked at every second, and when that changed.

No udev is asked: a look costs a tenth of a millisecond, works in a container and where nothing runs beside us.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from controller.devices.serial import SerialDevice

SECONDS = 1.0


class DeviceWatch:
    """``scan`` finds the devices, in a thread. ``current`` is what the last look found."""

    def __init__(self, scan: Callable[[], tuple[SerialDevice, ...]], every: float = SECONDS) -> None:
        self._scan = scan
        self._every = every
        self.current: tuple[SerialDevice, ...] = ()

    async def look(self) -> bool:
        """Look now; whether something changed."""
        before, self.current = self.current, await asyncio.to_thread(self._scan)
        return before != self.current

    async def changes(self) -> AsyncIterator[None]:
        """Yield after each change, for ever."""
        while True:
            if await self.look():
                yield
            await asyncio.sleep(self._every)
