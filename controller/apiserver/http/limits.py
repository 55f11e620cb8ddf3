"""How much at once, and how long at most: requests in flight, open watches, seconds for an answer.

The controller itself is never refused: it is bounded by its own design, and the box lives from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator

from controller.apiserver import failures
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.authorization import CONTROLLER, HEALTH, Identity

IN_FLIGHT = 256
WATCHES = 256
LONGEST_SECONDS = 60.0
LEAST_SECONDS = 0.001  # who gives less can have no answer
RETRY_SECONDS = 1

DURATION_LENGTH = 64
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNIT = "|".join(sorted(UNITS, key=len, reverse=True))
_PART = re.compile(rf"(\d++(?:\.\d*+)?|\.\d++)({_UNIT})")


class Limits:
    """Counts what is under way on one server."""

    def __init__(self, in_flight: int = IN_FLIGHT, watches: int = WATCHES) -> None:
        self._room = {False: in_flight, True: watches}
        self.stopping = False

    @contextlib.asynccontextmanager
    async def hold(self, who: Identity, wanted: Attributes, wish: str) -> AsyncIterator[None]:
        """The time in which a request is answered; ``wish`` is its ``timeout``.

        Raises failures.Failure (400, 429, 503, 504).
        """
        seconds = None if wanted.verb == "watch" else allotted(wish)
        if seconds is not None and seconds < LEAST_SECONDS:
            raise failures.timed_out()
        with self._place(who, wanted):
            try:
                async with asyncio.timeout(seconds):
                    yield
            except TimeoutError as error:
                raise failures.timed_out() from error

    @contextlib.contextmanager
    def _place(self, who: Identity, wanted: Attributes) -> Iterator[None]:
        if wanted.path in HEALTH or who.name == CONTROLLER:
            yield
            return
        if self.stopping:
            raise failures.stopping(RETRY_SECONDS)
        streams = wanted.verb == "watch"
        if self._room[streams] == 0:
            raise failures.too_many_requests(RETRY_SECONDS)
        self._room[streams] -= 1
        try:
            yield
        finally:
            self._room[streams] += 1


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
