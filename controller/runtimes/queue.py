"""The work queue: deduplicates the keys of Runtimes from all sources and runs one pass per key at a time.

It decides when to retry (backoff by outcome) and does not know what a pass does. Not thread-safe: everything runs in
one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from controller import errors
from controller.machinery.backoff import Backoff, Jitter
from controller.runtimes import reconciler
from controller.runtimes.keys import Key
from controller.runtimes.outcome import of_error
from controller.runtimes.reconciler import Result

log = logging.getLogger(__name__)

# A pass mostly waits, sometimes minutes for a pull or a stop; the backend limits what runs concurrently.
WORKERS = 256
RETRY_SECONDS = (0.5, 60.0)  # the first delay and the longest
WAITING_SECONDS = (5.0, 15.0)
STALLED_SECONDS = (50.0, 70.0)
ECHO_SECONDS = 0.5  # the engine's events of our own steps arrive within milliseconds

Reconcile = Callable[[Key, asyncio.Event], Awaitable[Result]]


@dataclass
class _Entry:
    """The state of one key that is queued, in a pass, or waiting for a timer.

    ``events`` counts the events since the last pass began; ``echo`` is the number of events that a failing pass causes
    itself. ``error`` is the error that ended the last pass, "" for none.
    """

    backoff: Backoff
    wanted: bool = False
    passing: bool = False
    events: int = 0
    echo: int = 0
    waiters: list[asyncio.Future[Result]] = field(default_factory=list)
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    worker: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    error: str = ""
    echo_until: float = 0.0


class Queue:
    """Calls ``reconcile(key, interrupted)`` for each added key; see Reconciler."""

    def __init__(self, reconcile: Reconcile, *, workers: int = WORKERS, jitter: Jitter = random.uniform) -> None:
        self._reconcile = reconcile
        self._jitter = jitter
        self._slots = asyncio.Semaphore(workers)
        self._entries: dict[Key, _Entry] = {}
        self._stopping = False

    @property
    def depth(self) -> int:
        """The number of keys that are queued or in a pass."""
        return sum(1 for entry in self._entries.values() if entry.worker is not None)

    def add(self, key: Key) -> None:
        """Request a pass over the key; no-op if one is queued already.

        Events caused by our own failed steps (the echo) are ignored: they would retry those steps without a pause. The
        echo is recognized by its size, as the same steps cause the same number of events.
        """
        entry = self._entry(key)
        entry.events += 1
        if entry.passing:
            return  # _schedule decides after the pass
        if asyncio.get_running_loop().time() >= entry.echo_until:
            self._enqueue(entry, key)
        elif entry.events > entry.echo:
            self._set_timer(key, entry, entry.echo_until)

    async def reconcile(self, key: Key) -> Result:
        """Run a pass that starts after this call and return its result.

        For callers that know the object changed: a pass in progress checks the object again and ends early if its
        generation changed (a delete ends a pull). Cancelling the caller does not cancel the pass.
        """
        entry = self._entry(key)
        waiter: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        entry.waiters.append(waiter)
        entry.interrupted.set()
        self._enqueue(entry, key)
        return await waiter

    async def stop(self, grace: float) -> None:
        """Accept no more keys; let passes finish within ``grace`` seconds, then cancel them."""
        self._stopping = True
        workers = [entry.worker for entry in self._entries.values() if entry.worker]
        for entry in self._entries.values():
            self._clear_timer(entry)
            entry.wanted = False
        if workers:
            _, pending = await asyncio.wait(workers, timeout=grace)
            for worker in pending:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        for entry in self._entries.values():
            _answer(entry.waiters, reconciler.STOPPING)
        self._entries.clear()

    def _entry(self, key: Key) -> _Entry:
        if key not in self._entries:
            self._entries[key] = _Entry(Backoff(*RETRY_SECONDS, self._jitter))
        return self._entries[key]

    def _enqueue(self, entry: _Entry, key: Key) -> None:
        if self._stopping:
            _answer(entry.waiters, reconciler.STOPPING)
            return
        self._clear_timer(entry)
        entry.wanted = True
        if entry.worker is None:
            entry.worker = asyncio.get_running_loop().create_task(self._work(key, entry), name=f"reconcile {key}")

    async def _work(self, key: Key, entry: _Entry) -> None:
        """Run passes over one key until none is wanted."""
        try:
            while entry.wanted:
                async with self._slots:
                    result = await self._run_pass(key, entry)
                self._schedule(key, entry, result)
                for other in result.wake:
                    self.add(other)
                await asyncio.sleep(0)  # so that a key that is always wanted does not starve the others
        finally:
            entry.worker = None
            if entry.timer is None and not entry.waiters:
                self._entries.pop(key, None)

    async def _run_pass(self, key: Key, entry: _Entry) -> Result:
        entry.wanted, entry.passing = False, True
        entry.echo, entry.events = max(entry.echo, entry.events) if entry.echo_until else 0, 0
        entry.interrupted.clear()
        waiters, entry.waiters = entry.waiters, []
        try:
            result = await self._reconcile_safely(key, entry)
        except BaseException:
            _answer(waiters, reconciler.STOPPING)
            raise
        finally:
            entry.passing = False
        _answer(waiters, result)
        return result

    async def _reconcile_safely(self, key: Key, entry: _Entry) -> Result:
        before, entry.error = entry.error, ""
        try:
            return await self._reconcile(key, entry.interrupted)
        except errors.EdgeError as error:
            entry.error = str(error)
            level = logging.DEBUG if entry.error == before else logging.WARNING
            log.log(level, "Cannot reconcile %s: %s", key, error, extra={"runtime": str(key)})
            return reconciler.result_of(error)
        except Exception as error:
            log.exception("Reconciling %s failed", key, extra={"runtime": str(key)})
            return Result(of_error(error))

    def _schedule(self, key: Key, entry: _Entry, result: Result) -> None:
        """Schedule the next pass, if any: a settled key without new events gets none."""
        now = asyncio.get_running_loop().time()
        retry_delay = self._retry_delay(entry, result)
        failed_steps = result.acted and not result.settled and not result.again
        entry.echo_until = now + ECHO_SECONDS if failed_steps else 0.0
        entry.wanted |= not self._stopping and (result.again or (entry.events > 0 and not failed_steps))
        if not entry.wanted and (delay := self._delay(entry, result, retry_delay)) is not None:
            self._set_timer(key, entry, now + delay)

    def _delay(self, entry: _Entry, result: Result, retry_delay: float | None) -> float | None:
        pending = ECHO_SECONDS if entry.events > entry.echo else None
        delays = (retry_delay, result.held_seconds or None, pending)
        return min((delay for delay in delays if delay is not None), default=None)

    def _set_timer(self, key: Key, entry: _Entry, when: float) -> None:
        """Schedule a pass at the loop time ``when``, unless an earlier one is scheduled."""
        if self._stopping or (entry.timer is not None and entry.timer.when() <= when):
            return
        self._clear_timer(entry)
        entry.timer = asyncio.get_running_loop().call_at(when, self._enqueue, entry, key)

    def _retry_delay(self, entry: _Entry, result: Result) -> float | None:
        if result.outcome.kind != "retry":
            entry.backoff.reset()
        match result.outcome.kind:
            case "retry":
                return entry.backoff.next()
            case "waiting":
                return self._jitter(*WAITING_SECONDS)
            case "stalled":
                return self._jitter(*STALLED_SECONDS)
            case _:
                return None

    def _clear_timer(self, entry: _Entry) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None


def _answer(waiters: list[asyncio.Future[Result]], result: Result) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(result)
    waiters.clear()
