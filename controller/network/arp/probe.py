"""One probe of addresses on the LAN, which runs beside other work until its answers are needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from ipaddress import IPv4Address
from typing import Any, NamedTuple

# A start that is slower than this asks again. Until then every claim is heard, also after the last question.
VALID_SECONDS = 5.0


class GuardedAddress(NamedTuple):
    """An address on a parent's LAN, and our hardware address that has it or is about to use it."""

    parent: str
    address: IPv4Address
    mac: bytes


class Probe:
    """Asks for ``wanted`` at once, and listens until it is closed or no longer valid.

    ``asking`` sends the questions and returns whether all of them went out, ``heard`` returns the answers so far, and
    ``closed`` is called once nobody listens any more.
    """

    def __init__(
        self,
        wanted: Collection[GuardedAddress],
        asking: Coroutine[Any, Any, bool],
        heard: Callable[[], dict[GuardedAddress, str]],
        closed: Callable[[Probe], None],
    ) -> None:
        self.wanted = frozenset(wanted)
        self.complete = False
        self._heard = heard
        self._closed: Callable[[Probe], None] | None = closed
        self._asking = asyncio.create_task(asking, name="address probe")
        self._expiry = asyncio.get_running_loop().call_later(VALID_SECONDS, self.close)

    def covers(self, wanted: Collection[GuardedAddress]) -> bool:
        """Return whether it is still valid and asks for all of these addresses."""
        return self._closed is not None and self.wanted.issuperset(wanted)

    async def answers(self) -> dict[GuardedAddress, str]:
        """Wait for the last question, and close; return the addresses in use by another machine with its MAC address.

        ``complete`` is then whether every question went out: a parent that is down asks nobody.
        """
        self._expiry.cancel()
        try:
            self.complete = await self._asking
            return self._heard()
        finally:
            self.close()

    def close(self) -> None:
        """Stop asking and listening; idempotent."""
        self._expiry.cancel()
        self._asking.cancel()
        closed, self._closed = self._closed, None
        if closed is not None:
            closed(self)
