"""The result of a pass over a Runtime, and the work queue that retries by it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from controller.api import reasons
from controller.machinery.backoff import Jitter
from controller.machinery.workqueue import BACKOFF, WORKERS, RetryAfter, WorkQueue
from controller.runtimes.keys import Key
from controller.runtimes.outcome import Kind, Outcome, of_error

# Between two bounds, so that Runtimes that wait for the same thing are spread. Stalled ones are retried, too: a
# registry or a host is corrected without an event.
_RETRY: Mapping[Kind, RetryAfter] = {"retry": BACKOFF, "waiting": (5.0, 15.0), "stalled": (50.0, 70.0)}  # seconds

RuntimeQueue = WorkQueue[Key, "Result"]


class Result(NamedTuple):
    """The result of a pass, for the queue and for the handlers.

    ``again`` requests another pass at once. ``acted``: steps were executed. ``held_seconds`` is the time until a
    throttled status may be written, 0 if it is written. ``wake`` are other Runtimes that need a pass now.
    ``observed_at`` is the loop time of the last observation, 0 without one.
    """

    outcome: Outcome
    again: bool = False
    acted: bool = False
    held_seconds: float = 0.0
    wake: tuple[Key, ...] = ()
    observed_at: float = 0.0

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do until something changes."""
        return not self.again and self.outcome.kind in ("ready", "paused", "gone")

    @property
    def retry(self) -> RetryAfter:
        """When to run the next pass without an event."""
        return _RETRY.get(self.outcome.kind)


GONE = Result(Outcome("gone", reasons.DELETED, "The Runtime does not exist"))
NOT_OURS = Result(Outcome("gone", reasons.PROGRESSING, "Another node or backend runs it"))
NO_FINALIZER = Result(Outcome("waiting", reasons.PROGRESSING, "Waiting for the finalizer"))
STOPPING = Result(Outcome("waiting", reasons.PROGRESSING, "The controller is stopping"))
SUPERSEDED = Result(Outcome("waiting", reasons.PROGRESSING, "The spec changed during the pass"), again=True)


def work_queue(
    reconcile: Callable[[Key, asyncio.Event], Awaitable[Result]],
    *,
    workers: int = WORKERS,
    jitter: Jitter = random.uniform,
) -> RuntimeQueue:
    """A queue of the keys of Runtimes, which retries by outcome."""
    return WorkQueue(
        reconcile,
        of_error=lambda error: Result(of_error(error)),
        stopping=STOPPING,
        field="runtime",
        workers=workers,
        jitter=jitter,
    )
