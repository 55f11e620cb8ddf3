"""How much at once, and how long at most: requests in flight, open watches, seconds for an answer.

The controller itself is never refused: it is bounded by its own design, and the box lives from it. A user gets three
quarters of the room, so that whoever may only look leaves some to whoever may act.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Literal

from aiohttp import web
from typing_extensions import override

from controller.apiserver import failures
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.authorization import CONTROLLER, HEALTH, Identity

IN_FLIGHT = 256
WATCHES = 256
LISTS = 16  # of one user, until they are sent: each is in memory as a whole
LONGEST_SECONDS = 60.0
LEAST_SECONDS = 0.001  # who gives less can have no answer
RETRY_SECONDS = 1

DURATION_LENGTH = 64
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNIT = "|".join(sorted(UNITS, key=len, reverse=True))
_PART = re.compile(rf"(\d++(?:\.\d*+)?|\.\d++)({_UNIT})")


class Turn(asyncio.Lock):
    """Held by a user's request while something costly is made for it, in the event loop or in a thread.

    One at a time: many at once would keep the loop and the interpreter from everybody else.
    """

    @override
    async def acquire(self) -> Literal[True]:
        """Wait for the turn, and for what others have to do in the event loop."""
        await super().acquire()
        try:
            await asyncio.sleep(0)  # else those that came in the same moment would all be done in it, one by one
        except BaseException:
            self.release()
            raise
        return True


TURN = web.RequestKey("turn", Turn)


class Share:
    """What one user has under way."""

    def __init__(self) -> None:
        self.turn = Turn()
        self.lists = asyncio.Semaphore(LISTS)
        self.used = {False: 0, True: 0}


class Limits:
    """Counts what is under way on one server."""

    def __init__(self, in_flight: int = IN_FLIGHT, watches: int = WATCHES) -> None:
        self._room = {False: in_flight, True: watches}
        self._most = {streams: room - room // 4 for streams, room in self._room.items()}  # of one user
        self._shares: defaultdict[str, Share] = defaultdict(Share)
        self.stopping = False

    def turn(self, who: Identity) -> Turn:
        """The turn of a user; whoever acts as another keeps their own."""
        return self._share(who).turn

    @contextlib.asynccontextmanager
    async def place(self, who: Identity, wanted: Attributes) -> AsyncIterator[None]:
        """Room for a request until its answer is sent. Raises failures.Failure (429, 503)."""
        if wanted.path in HEALTH or who.name == CONTROLLER:
            yield
            return
        if self.stopping:
            raise failures.stopping(RETRY_SECONDS)
        share, streams = self._share(who), wanted.verb == "watch"
        if self._room[streams] == 0 or share.used[streams] >= self._most[streams]:
            raise failures.too_many_requests(RETRY_SECONDS)
        self._room[streams] -= 1
        share.used[streams] += 1
        try:
            async with share.lists if wanted.verb == "list" else contextlib.nullcontext():
                yield
        finally:
            self._room[streams] += 1
            share.used[streams] -= 1

    def _share(self, who: Identity) -> Share:
        return self._shares[who.impersonator or who.name]


@contextlib.asynccontextmanager
async def time(wanted: Attributes, options: str) -> AsyncIterator[None]:
    """The time in which a request is answered; ``options`` is its ``timeout``. Raises failures.Failure (400, 504)."""
    seconds = None if wanted.verb == "watch" else allotted(options)
    if seconds is not None and seconds < LEAST_SECONDS:
        raise failures.timed_out()
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise failures.timed_out() from error


def allotted(timeout: str) -> float:
    """The seconds that a request gets, by its ``timeout`` parameter (a duration as Go writes it)."""
    if not timeout:
        return LONGEST_SECONDS
    if len(timeout) > DURATION_LENGTH:  # it may come from anyone, and the pattern below tries each part of it
        raise failures.bad_request("invalid timeout specified in the request URL")
    sign, text = ("-", timeout[1:]) if timeout[0] == "-" else ("", timeout.removeprefix("+"))
    parts = _PART.findall(text)
    if text != "0" and ("".join(number + unit for number, unit in parts) != text or not parts):
        raise failures.bad_request(f'invalid timeout specified in the request URL - time: invalid duration "{timeout}"')
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    return min(seconds, LONGEST_SECONDS) if seconds and not sign else LONGEST_SECONDS
