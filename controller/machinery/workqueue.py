"""A work queue of keys: deduplicates them and runs one pass per key at a time (client-go: workqueue).

It decides when to retry, as a pass's result asks for, and does not know what a pass does. Not thread-safe: everything
runs in one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

from controller import errors
from controller.machinery.backoff import Backoff, Jitter

log = logging.getLogger(__name__)

# A pass mostly waits, sometimes minutes for a pull or a stop; the backend limits what runs concurrently.
WORKERS = 256
RETRY_SECONDS = (0.5, 60.0)  # the first delay and the longest
ECHO_SECONDS = 0.5  # the engine's events of our own steps arrive within milliseconds

BACKOFF: Final = "backoff"
RetryAfter = Literal["backoff"] | tuple[float, float] | None
"""When to retry: BACKOFF with growing delays, or after a delay between two bounds; None: not until an event."""


class PassResult(Protocol):
    """What the queue has to know of the result of a pass."""

    @property
    def retry(self) -> RetryAfter:
        """When to run the next pass without an event."""

    @property
    def again(self) -> bool:
        """Whether another pass is needed at once."""

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do until something changes."""

    @property
    def acted(self) -> bool:
        """Whether the pass changed something, which causes events."""

    @property
    def observed_at(self) -> float:
        """The loop time at which the pass began to observe for the last time; 0 if it did not."""

    @property
    def held_seconds(self) -> float:
        """Seconds after which another pass is needed in any case; 0 for none."""

    @property
    def wake(self) -> tuple[Any, ...]:
        """Other keys that need a pass now."""


K = TypeVar("K", bound=Hashable)
R = TypeVar("R", bound=PassResult)


@dataclass(slots=True)
class _Entry(Generic[R]):
    """The state of one key that is queued, in a pass, or waiting for a timer.

    ``events`` counts the events since the last pass began, of which the last came at ``last_event``; ``echo`` is the
    number of events that a failing pass causes itself. ``error`` is the error that ended the last pass, "" for none.
    """

    backoff: Backoff
    wanted: bool = False
    passing: bool = False
    events: int = 0
    last_event: float = 0.0
    echo: int = 0
    waiters: list[asyncio.Future[R]] = field(default_factory=list)
    interrupted: asyncio.Event | None = None
    worker: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    error: str = ""
    echo_until: float = 0.0


class WorkQueue(Generic[K, R]):
    """Calls ``reconcile(key, interrupted)`` for each added key; ``interrupted`` is set when its object has changed.

    ``of_error`` returns the result of a pass that raised, ``stopping`` is that of one the end of the queue prevents.
    ``field`` is the field of log records that contains the key.
    """

    def __init__(
        self,
        reconcile: Callable[[K, asyncio.Event], Awaitable[R]],
        *,
        of_error: Callable[[Exception], R],
        stopping: R,
        field: str = "key",
        workers: int = WORKERS,
        jitter: Jitter = random.uniform,
    ) -> None:
        self._reconcile = reconcile
        self._of_error = of_error
        self._stopped_result = stopping
        self._field = field
        self._jitter = jitter
        self._slots = asyncio.Semaphore(workers)
        self._entries: dict[K, _Entry[R]] = {}
        self._stopping = False

    @property
    def depth(self) -> int:
        """The number of keys that are queued or in a pass."""
        return sum(1 for entry in self._entries.values() if entry.worker is not None)

    def add(self, key: K) -> None:
        """Request a pass over the key; no-op if one is queued already.

        Events caused by our own failed steps (the echo) are ignored: they would retry those steps without a pause. The
        echo is recognized by its size, as the same steps cause the same number of events.
        """
        entry, now = self._entry(key), asyncio.get_running_loop().time()
        entry.events, entry.last_event = entry.events + 1, now
        if entry.passing:
            return  # _schedule decides after the pass
        if now >= entry.echo_until:
            self._enqueue(entry, key)
        # Something else happened. The rest of the echo may still arrive, so the pass waits for its end.
        elif entry.events > entry.echo:
            self._set_timer(key, entry, entry.echo_until)

    async def reconcile(self, key: K) -> R:
        """Run a pass that starts after this call and return its result.

        For callers that know the object changed: a pass in progress checks the object again and ends early if its
        generation changed (a delete ends a pull). Cancelling the caller does not cancel the pass.
        """
        entry = self._entry(key)
        waiter: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        entry.waiters.append(waiter)
        if entry.interrupted is not None:
            entry.interrupted.set()
        self._enqueue(entry, key)
        return await waiter

    async def stop(self, grace: float) -> None:
        """Accept no more keys; let passes finish within ``grace`` seconds, then cancel them."""
        self._stopping = True
        workers = [entry.worker for entry in self._entries.values() if entry.worker]
        for entry in self._entries.values():
            self._clear_timer(entry)
            # A worker ends after the pass in progress.
            entry.wanted = False
        if workers:
            _, pending = await asyncio.wait(workers, timeout=grace)
            for worker in pending:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        for entry in self._entries.values():
            # A caller whose pass will never begin must not wait without end.
            _answer(entry.waiters, self._stopped_result)
        self._entries.clear()

    def _entry(self, key: K) -> _Entry[R]:
        if key not in self._entries:
            self._entries[key] = _Entry(Backoff(*RETRY_SECONDS, self._jitter))
        return self._entries[key]

    def _enqueue(self, entry: _Entry[R], key: K) -> None:
        if self._stopping:
            _answer(entry.waiters, self._stopped_result)
            return
        self._clear_timer(entry)
        entry.wanted = True
        if entry.worker is None:
            entry.worker = asyncio.get_running_loop().create_task(self._work(key, entry), name=f"reconcile {key}")

    async def _work(self, key: K, entry: _Entry[R]) -> None:
        """Run passes over one key until none is wanted."""
        try:
            while entry.wanted:
                async with self._slots:
                    if self._stopping:  # since it began to wait
                        break
                    result = await self._run_pass(key, entry)
                self._schedule(key, entry, result)
                for other in result.wake:
                    # Not an event: a pass in progress over the other key may have read too early who owns what.
                    self._enqueue(self._entry(other), other)
                await asyncio.sleep(0)  # so that a key that is always wanted does not starve the others
        finally:
            entry.worker = None
            # Keys of deleted objects must not accumulate; a timer keeps the backoff and the echo of its key.
            if entry.timer is None and not entry.waiters:
                self._entries.pop(key, None)

    async def _run_pass(self, key: K, entry: _Entry[R]) -> R:
        entry.wanted, entry.passing = False, True
        # Only failing steps have an echo. The largest one counts: late events can make one appear smaller.
        entry.echo, entry.events = max(entry.echo, entry.events) if entry.echo_until else 0, 0
        # Before the pass reads the object: a change during that read must interrupt it.
        entry.interrupted = interrupted = asyncio.Event()
        # Whoever calls from now on waits for the next pass: this one may already have read the object.
        waiters, entry.waiters = entry.waiters, []
        try:
            result = await self._reconcile_safely(key, entry, interrupted)
        # Also a cancellation, which ends a pass after the grace period of ``stop``.
        except BaseException:
            _answer(waiters, self._stopped_result)
            raise
        finally:
            entry.passing = False
        _answer(waiters, result)
        return result

    async def _reconcile_safely(self, key: K, entry: _Entry[R], interrupted: asyncio.Event) -> R:
        before, entry.error = entry.error, ""
        try:
            return await self._reconcile(key, interrupted)
        except errors.EdgeError as error:
            entry.error = str(error)
            # The backoff repeats the pass as long as an outage lasts; the log needs its error once.
            level = logging.DEBUG if entry.error == before else logging.WARNING
            log.log(level, "Cannot reconcile %s: %s", key, error, extra={self._field: str(key)})
            return self._of_error(error)
        except Exception as error:
            log.exception("Reconciling %s failed", key, extra={self._field: str(key)})
            return self._of_error(error)

    def _schedule(self, key: K, entry: _Entry[R], result: R) -> None:
        """Schedule the next pass, if any: a settled key without new events gets none."""
        now = asyncio.get_running_loop().time()
        retry_delay = self._retry_delay(entry, result.retry)
        failed_steps = result.acted and not result.settled and not result.again
        entry.echo_until = now + ECHO_SECONDS if failed_steps else 0.0
        # What an event tells has been seen by an observation that began later. A pass that acts observes last, so its
        # own events start no second pass.
        unseen = entry.events > 0 and entry.last_event >= result.observed_at
        # Events during failing steps start no pass by themselves: they are probably the echo (see _delay).
        entry.wanted |= not self._stopping and (result.again or (unseen and not failed_steps))
        if not entry.wanted and (delay := self._delay(entry, result, retry_delay)) is not None:
            self._set_timer(key, entry, now + delay)

    def _delay(self, entry: _Entry[R], result: R, retry_delay: float | None) -> float | None:
        # After the first failure no echo is known: its own events cause one more pass, which learns their number.
        pending = ECHO_SECONDS if entry.echo_until and entry.events > entry.echo else None
        delays = (retry_delay, result.held_seconds or None, pending)
        return min((delay for delay in delays if delay is not None), default=None)

    def _set_timer(self, key: K, entry: _Entry[R], when: float) -> None:
        """Schedule a pass at the loop time ``when``, unless an earlier one is scheduled."""
        if self._stopping or (entry.timer is not None and entry.timer.when() <= when):
            return
        self._clear_timer(entry)
        entry.timer = asyncio.get_running_loop().call_at(when, self._enqueue, entry, key)

    def _retry_delay(self, entry: _Entry[R], retry: RetryAfter) -> float | None:
        if retry == BACKOFF:
            return entry.backoff.next()
        entry.backoff.reset()
        return None if retry is None else self._jitter(*retry)

    def _clear_timer(self, entry: _Entry[R]) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None


def _answer(waiters: list[asyncio.Future[R]], result: R) -> None:
    for waiter in waiters:
        # The caller may have been cancelled, which cancels its future only.
        if not waiter.done():
            waiter.set_result(result)
    waiters.clear()
