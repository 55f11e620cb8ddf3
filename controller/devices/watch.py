"""Polls the serial devices every second and reports changes.

Polling needs no udev: a scan takes a tenth of a millisecond and also works in a container.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from controller.devices.serial import SerialDevice

SECONDS = 1.0


class DeviceWatch:
    """``scan`` finds the devices and is called in a thread. ``current`` is the result of the last scan."""

    def __init__(self, scan: Callable[[], tuple[SerialDevice, ...]], every: float = SECONDS) -> None:
        self._scan = scan
        self._every = every
        self.current: tuple[SerialDevice, ...] = ()

    async def refresh(self) -> bool:
        """Scan now; return whether something changed."""
        before, self.current = self.current, await asyncio.to_thread(self._scan)
        return before != self.current

    async def changes(self) -> AsyncIterator[None]:
        """Yield after each change. Never ends."""
        while True:
            if await self.refresh():
                yield
            await asyncio.sleep(self._every)
