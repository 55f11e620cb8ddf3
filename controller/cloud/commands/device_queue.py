"""The order of commands on one device: each has its turn after those that came before it; devices do not wait.

A place is taken the moment a command arrives, so nothing that is awaited later can change the order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controller.errors import CommandError


class Slot:
    """The place of one command: wait for it with ``start``, give it up with ``leave``, whatever happened."""

    def __init__(self, before: Slot | None, deadline: float) -> None:
        self.before = before
        self._deadline = deadline
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._interruption = ""
        self._scope: asyncio.Timeout | None = None

    @property
    def seconds_left(self) -> float:
        """How long until the command must be answered."""
        return self._deadline - asyncio.get_running_loop().time()

    @property
    def over(self) -> asyncio.Future[None]:
        """Done when this command and all before it are through."""
        return self._gone

    @property
    def must_wait(self) -> bool:
        """Whether there are commands before this one."""
        return self.before is not None and not self.before.over.done()

    async def start(self) -> None:
        """Wait until all commands before this one are through; each of them ends by its own deadline."""
        if self.before is not None:
            async with self._interruptible(None):
                await asyncio.wait([self.before.over])
            self.before = None

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """Bound a wait by the command's time.

        Raises TimeoutError when time is up, errors.CommandError when a later command put an end to the wait.
        """
        async with self._interruptible(self._deadline):
            yield

    def interrupt_those_before(self, reason: str) -> None:
        """End the waits of all commands before this one; what they have written stands."""
        turn = self.before
        while turn is not None:
            turn.interrupt(reason)
            turn = turn.before

    def interrupt(self, reason: str) -> None:
        """End this command's wait, the present or the next one."""
        self._interruption = reason
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    def leave(self) -> None:
        """Let the next one in, as soon as those before are through as well."""
        if self.before is None or self.before.over.done():
            self._gone.set_result(None)
        else:
            self.before.over.add_done_callback(lambda _: self._gone.set_result(None))

    @asynccontextmanager
    async def _interruptible(self, deadline: float | None) -> AsyncIterator[None]:
        self._refuse_when_interrupted()
        try:
            async with asyncio.timeout_at(deadline) as self._scope:
                yield
        except TimeoutError:
            self._refuse_when_interrupted()
            raise
        finally:
            self._scope = None

    def _refuse_when_interrupted(self) -> None:
        if self._interruption:
            raise CommandError(self._interruption)


class DeviceQueues:
    """One lane a device."""

    def __init__(self) -> None:
        self._last: dict[str, Slot] = {}

    def enter(self, device: str, seconds: float) -> Slot:
        """Take the next place on the device's lane; ``seconds`` is the command's whole time."""
        deadline = asyncio.get_running_loop().time() + seconds
        turn = self._last[device] = Slot(self._last.get(device), deadline)
        turn.over.add_done_callback(lambda _: self._forget(device, turn))
        return turn

    def _forget(self, device: str, turn: Slot) -> None:
        if self._last.get(device) is turn:
            del self._last[device]
