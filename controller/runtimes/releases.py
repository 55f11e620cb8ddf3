"""Wakes Runtimes that wait for something of the host when another Runtime may have released it. No I/O.

Such as a parent interface, an address, a container name, a serial device or a subnet. Without this, they would try
again a minute later. What was released is not compared with what they wait for: few wait, and the pass finds out.
"""

from __future__ import annotations

from controller.api import reasons
from controller.runtimes.keys import Key
from controller.runtimes.result import Result

_CONTENDED = frozenset(
    {
        reasons.ADDRESS_CONFLICT,
        reasons.DEDICATED_REFUSED,
        reasons.DEVICE_IN_USE,
        reasons.NAME_TAKEN,
        reasons.POOL_EXHAUSTED,
        reasons.POOL_OVERLAP,
    }
)


class Releases:
    """The Runtimes that wait, and those whose spec has changed, so that they may release something."""

    def __init__(self) -> None:
        self._waiting: set[Key] = set()
        self._changed: set[Key] = set()
        self._unsettled: set[Key] = set()

    def note_change(self, key: Key) -> None:
        """Note that the coming pass is the first one over a changed spec."""
        self._changed.add(key)
        self._unsettled.add(key)

    def after(self, key: Key, result: Result) -> Result:
        """The result of a pass with the Runtimes to wake: after a deletion, and after a change, at once and when done.

        Never after each pass, or two Runtimes that wait for each other would wake each other without end.
        """
        self._waiting.discard(key)
        released = self._take(key, result)
        woken = tuple(self._waiting - {*result.wake}) if released else ()
        if result.outcome.reason in _CONTENDED:
            self._waiting.add(key)
        return result._replace(wake=(*result.wake, *woken))

    def _take(self, key: Key, result: Result) -> bool:
        """Whether the pass may have released something; each change counts twice, see ``after``."""
        gone = result.outcome.kind == "gone"
        done = result.settled and key in self._unsettled
        first = key in self._changed
        self._changed.discard(key)
        if result.settled:
            self._unsettled.discard(key)
        return gone or done or first
