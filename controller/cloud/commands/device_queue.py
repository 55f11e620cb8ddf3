"""Runs the commands for one device in order of arrival; different devices do not wait for each other.

A command gets its slot on arrival, before anything is awaited, so that nothing can change the order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controller.errors import CommandError


class Slot:
    """The place of one command in the queue. Every slot must be released, whatever the outcome of its command."""

    def __init__(self, before: Slot | None, deadline: float) -> None:
        self.before = before
        self._deadline = deadline
        self._finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._interruption = ""
        self._scope: asyncio.Timeout | None = None

    @property
    def seconds_left(self) -> float:
        """Seconds until the command must be answered."""
        return self._deadline - asyncio.get_running_loop().time()

    @property
    def finished(self) -> asyncio.Future[None]:
        """Resolved when this command and all earlier ones have finished."""
        return self._finished

    @property
    def must_wait(self) -> bool:
        """Whether an earlier command has not finished."""
        return self.before is not None and not self.before.finished.done()

    async def wait_for_turn(self) -> None:
        """Wait until all earlier commands have finished. Needs no timeout: each of them has its own deadline."""
        if self.before is not None:
            async with self._interruptible(None):
                # Awaiting the future itself would let the cancellation of one waiter cancel it for all others.
                await asyncio.wait([self.before.finished])
            # A device that is never idle would otherwise keep all its slots in memory.
            self.before = None

    @asynccontextmanager
    async def within_deadline(self) -> AsyncIterator[None]:
        """Limit a wait to the command's deadline.

        Raises TimeoutError at the deadline, errors.CommandError if a later command interrupts the wait.
        """
        async with self._interruptible(self._deadline):
            yield

    def interrupt_earlier(self, reason: str) -> None:
        """Interrupt the waits of all earlier commands. Their changes to the API are not undone."""
        slot = self.before
        while slot is not None:
            slot.interrupt(reason)
            slot = slot.before

    def interrupt(self, reason: str) -> None:
        """Interrupt this command's current wait, or else its next one."""
        self._interruption = reason
        # A timeout that has expired cannot be rescheduled: it raises RuntimeError.
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    def release(self) -> None:
        """Finish this command; ``finished`` resolves once all earlier ones have finished as well."""
        if self.before is None or self.before.finished.done():
            self._finished.set_result(None)
        else:
            self.before.finished.add_done_callback(lambda _: self._finished.set_result(None))

    @asynccontextmanager
    async def _interruptible(self, deadline: float | None) -> AsyncIterator[None]:
        self._refuse_when_interrupted()
        try:
            async with asyncio.timeout_at(deadline) as self._scope:
                yield
        # An interruption ends the wait as the deadline does; only the reason tells them apart.
        except TimeoutError:
            self._refuse_when_interrupted()
            raise
        finally:
            self._scope = None

    def _refuse_when_interrupted(self) -> None:
        if self._interruption:
            raise CommandError(self._interruption)


class DeviceQueues:
    """One queue per device."""

    def __init__(self) -> None:
        self._last: dict[str, Slot] = {}

    def enqueue(self, device: str, seconds: float) -> Slot:
        """Append a slot to the device's queue; ``seconds`` is the command's time limit."""
        deadline = asyncio.get_running_loop().time() + seconds
        slot = self._last[device] = Slot(self._last.get(device), deadline)
        slot.finished.add_done_callback(lambda _: self._forget(device, slot))
        return slot

    def _forget(self, device: str, slot: Slot) -> None:
        if self._last.get(device) is slot:
            del self._last[device]
