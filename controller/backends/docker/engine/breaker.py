"""A circuit breaker: while the engine does not answer, every call fails at once instead of waiting.

An unanswered call alone may only mean that the engine is slow, so the breaker pings it, which is cheap, and opens only
when the ping is not answered either. While open it pings once at a time until the engine is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from controller import errors
from controller.api import reasons
from controller.backends.docker.engine.failures import Refusal
from controller.backends.docker.engine.lane import Unanswered
from controller.backends.docker.engine.limits import EngineLimits

T = TypeVar("T")

log = logging.getLogger(__name__)


class Breaker:
    """``ping`` returns the API version of the engine at ``url``. It raises Refusal and Unanswered.

    Belongs to one event loop.
    """

    def __init__(self, url: str, ping: Callable[[], Awaitable[str]], limits: EngineLimits) -> None:
        self._url = url
        self._ping = ping
        self._limits = limits
        self._version = ""
        self._failure = ""  # why it is open, "" while it is closed
        self._opened: asyncio.Future[None] | None = None
        self._closed = asyncio.Event()
        self._pinging: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None

    async def version(self) -> str:
        """The API version. Raises errors.Waiting(DAEMON_UNREACHABLE), immediately while open."""
        self._require()
        if not self._version:
            await self.check()
        return self._version

    async def check(self) -> None:
        """Ping the engine. Raises errors.Waiting(DAEMON_UNREACHABLE)."""
        self._require()
        await self._ping_shared()
        self._require()

    async def during(self, work: Awaitable[T]) -> T:
        """Await ``work``, cancelling it when the breaker opens, because its own timeout may be minutes away.

        Raises errors.Waiting(DAEMON_UNREACHABLE).
        """
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(work)
        either: set[asyncio.Future[Any]] = {task, self._opened}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            task.cancel()
        raise self._unreachable()

    async def explain(self, unanswered: Unanswered) -> errors.Waiting:
        """Ping the engine to find out why a call got no answer."""
        if not self._failure:
            await self._ping_shared()
        if self._failure:
            return self._unreachable()
        if unanswered.late:
            message = f"Docker at {self._url} is slow and did not finish in time; retrying"
            return errors.Waiting(reasons.DAEMON_SLOW, message)
        message = f"Docker at {self._url} broke off its response ({unanswered}); retrying"
        return errors.Waiting(reasons.DAEMON_UNREACHABLE, message)

    async def pause(self, seconds: float) -> None:
        """Wait this long, or until the breaker closes."""
        self._closed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)

    def close(self) -> None:
        """Stop pinging."""
        for task in (self._pinging, self._probing):
            if task is not None:
                task.cancel()

    def _require(self) -> None:
        if self._failure:
            raise self._unreachable()

    def _unreachable(self) -> errors.Waiting:
        message = f"Docker at {self._url} does not answer: start it or correct DOCKER_HOST ({self._failure})"
        return errors.Waiting(reasons.DAEMON_UNREACHABLE, message)

    async def _ping_shared(self) -> None:
        """Share one ping among callers; cancelling a caller does not cancel it for the others."""
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.create_task(self._note_ping(), name="ping of Docker")
        await asyncio.shield(self._pinging)

    async def _note_ping(self) -> None:
        if failure := await self._ping_failure():
            self._open(failure)

    async def _ping_failure(self) -> str:
        try:
            self._version = await self._ping()
        except (Unanswered, Refusal) as error:
            return str(error)
        return ""

    def _open(self, failure: str) -> None:
        self._failure = failure
        log.warning("Docker at %s does not answer: %s", self._url, failure)
        if self._opened is not None:
            self._opened.set_result(None)
            self._opened = None
        self._probing = asyncio.create_task(self._probe(), name="probe of Docker")

    async def _probe(self) -> None:
        """Ping until it answers, then give it time to carry out the calls that it received before it hung."""
        try:
            await self._until_it_answers()
            await asyncio.sleep(self._limits.settle_seconds)
        except Exception:
            log.exception("Probing Docker failed; the next call tries again")
        self._failure = ""
        self._closed.set()
        log.info("Docker at %s answers again", self._url)

    async def _until_it_answers(self) -> None:
        pause, longest = self._limits.probe_seconds
        while True:
            await asyncio.sleep(pause)
            if not (failure := await self._ping_failure()):
                return
            self._failure = failure
            pause = min(pause * 2, longest)
