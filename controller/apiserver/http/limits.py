"""Limits on concurrency and time: requests in flight, open watches, seconds per request.

The controller itself is exempt: it bounds its own requests, and the host depends on it. Each user gets at most three
quarters of the places, so that a read-only user always leaves some for an administrator.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Literal, TypeVar

from aiohttp import web
from typing_extensions import override

from controller.apiserver import failures
from controller.apiserver.access import authorization
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.identities import CONTROLLER, Identity
from controller.apiserver.incoming import Incoming
from controller.apiserver.worker import Worker

T = TypeVar("T")

IN_FLIGHT = 256
WATCHES = 256
LISTS = 16  # per user, until they are sent: each is held in memory as a whole
LONGEST_SECONDS = 60.0
LEAST_SECONDS = 0.001  # a shorter timeout expires at once
RETRY_SECONDS = 1

DURATION_LENGTH = 64
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNIT = "|".join(sorted(UNITS, key=len, reverse=True))
_PART = re.compile(rf"(\d++(?:\.\d*+)?|\.\d++)({_UNIT})")


class Turn(asyncio.Lock):
    """Lock of one user, held by a request during costly work, in the event loop or in a thread.

    One request of a user at a time: many at once would starve the other users of the event loop and the interpreter.
    """

    @override
    async def acquire(self) -> Literal[True]:
        """Wait for the turn, then yield to the event loop once."""
        await super().acquire()
        try:
            await asyncio.sleep(0)  # else requests that arrived together would run without a pause between them
        except BaseException:
            self.release()
            raise
        return True


TURN = web.RequestKey("turn", Turn)
WORKER = web.AppKey("worker", Worker)


async def in_turn(request: Incoming, work: Callable[[], T]) -> T:
    """Run work in the worker thread, one job per user at a time, so that no user waits for all jobs of another."""
    async with request[TURN]:
        return await request.app[WORKER].run(work)


class Share:
    """The requests in flight of one user."""

    def __init__(self) -> None:
        self.turn = Turn()
        self.lists = asyncio.Semaphore(LISTS)
        self.used = {False: 0, True: 0}


class Limits:
    """Counts the requests in flight on one server."""

    def __init__(self, in_flight: int = IN_FLIGHT, watches: int = WATCHES) -> None:
        self._free = {False: in_flight, True: watches}
        self._per_user = {streams: free - free // 4 for streams, free in self._free.items()}
        self._shares: defaultdict[str, Share] = defaultdict(Share)
        self.stopping = False

    def turn(self, user: Identity) -> Turn:
        """The turn of a user; an impersonator uses its own, not that of the impersonated user."""
        return self._share(user).turn

    @contextlib.asynccontextmanager
    async def place(self, user: Identity, attrs: Attributes) -> AsyncIterator[None]:
        """Hold a place for a request until its response is sent. Raises failures.Failure (429, 503)."""
        if authorization.is_health(attrs.path) or user.name == CONTROLLER:
            yield
            return
        if self.stopping:
            raise failures.stopping(RETRY_SECONDS)
        share, streams = self._share(user), attrs.verb == "watch"
        if self._free[streams] == 0 or share.used[streams] >= self._per_user[streams]:
            raise failures.too_many_requests(RETRY_SECONDS)
        self._free[streams] -= 1
        share.used[streams] += 1
        try:
            # Waiting lists already hold a place, so their number is bounded, too.
            async with share.lists if attrs.verb == "list" else contextlib.nullcontext():
                yield
        finally:
            self._free[streams] += 1
            share.used[streams] -= 1

    def _share(self, user: Identity) -> Share:
        return self._shares[user.impersonator or user.name]


@contextlib.asynccontextmanager
async def time(attrs: Attributes, options: str) -> AsyncIterator[None]:
    """Bound the time of a request; ``options`` is its ``timeout`` parameter. Raises failures.Failure (400, 504)."""
    seconds = None if attrs.verb == "watch" else allotted(options)
    # asyncio.timeout cannot end a handler that never waits, so such a request would still succeed.
    if seconds is not None and seconds < LEAST_SECONDS:
        raise failures.timed_out()
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise failures.timed_out() from error


def allotted(timeout: str) -> float:
    """Seconds allotted to a request by its ``timeout`` parameter, a Go duration. Raises failures.Failure (400)."""
    if not timeout:
        return LONGEST_SECONDS
    if len(timeout) > DURATION_LENGTH:  # untrusted input, and the pattern below tries every part of it
        raise failures.bad_request("invalid timeout specified in the request URL")
    sign, text = ("-", timeout[1:]) if timeout[0] == "-" else ("", timeout.removeprefix("+"))
    parts = _PART.findall(text)
    if text != "0" and ("".join(number + unit for number, unit in parts) != text or not parts):
        raise failures.bad_request(f'invalid timeout specified in the request URL - time: invalid duration "{timeout}"')
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    # As in kube-apiserver, zero and negative durations mean the default.
    return min(seconds, LONGEST_SECONDS) if seconds and not sign else LONGEST_SECONDS
