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
from controller.backends.docker.engine.lane import EngineLimits, Unanswered
from controller.machinery.backoff import Backoff

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
        # A shared ping raises nothing, because others wait for it too; a failure shows in the open breaker.
        await self._ping_shared()
        self._require()

    async def during(self, call: asyncio.Future[T], deadline: float | None = None) -> T:
        """The result of a call. Abandon it when the breaker opens, for its own timeout may be minutes away, and at the
        ``deadline`` in seconds.

        Raises Refusal and errors.Waiting(DAEMON_UNREACHABLE, DAEMON_SLOW).
        """
        opened = self._opened = self._opened or asyncio.get_running_loop().create_future()
        either: set[asyncio.Future[Any]] = {call, opened}
        try:
            await asyncio.wait(either, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
            # A result that arrives together with the opening counts: the engine has executed the call.
            if call.done():
                return await self.answer(call)
        finally:
            # A call that still waits for a thread must never be sent: later, nobody would expect it.
            call.cancel()
            # Its error holds this frame: until the next collection they would keep each other, and the answer.
            del call, either
        raise self._unreachable() if opened.done() else await self._explain(Unanswered("timed out", late=True))

    async def answer(self, call: Awaitable[T]) -> T:
        """The result of a call, even if the breaker opens meanwhile.

        Raises Refusal and errors.Waiting(DAEMON_UNREACHABLE, DAEMON_SLOW).
        """
        try:
            return await call
        except Unanswered as error:
            raise await self._explain(error) from error
        finally:
            del call  # as above

    async def _explain(self, unanswered: Unanswered) -> errors.Waiting:
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
            async with asyncio.timeout(seconds):
                await self._closed.wait()

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
            # Its read timeout does not end a ping that waits for a thread, or whose response trickles.
            async with asyncio.timeout(2 * self._limits.ping_seconds):
                self._version = await self._ping()
        except TimeoutError:
            return "timed out"
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
            # Closed below even so: an open breaker that nobody probes would reject every call until a restart.
            log.exception("Probing Docker failed; the next call tries again")
        self._failure = ""
        self._closed.set()
        log.info("Docker at %s answers again", self._url)

    async def _until_it_answers(self) -> None:
        for pause in Backoff(*self._limits.probe_seconds):
            await asyncio.sleep(pause)
            if not (failure := await self._ping_failure()):
                return
            self._failure = failure
