"""A bounded pool of threads for calls that block.

The threads are daemons, unlike those of concurrent.futures, which delay the exit of the process: a `docker stop` with a
grace period of minutes must not keep the controller from exiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Workers:
    """At most ``size`` threads named after ``name``, started on demand."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._closed = False

    def run(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Run the function in a thread of the pool; cancelled when the pool is closed.

        A cancelled function that has not started never starts; a running one runs to its end.
        """
        future: Future[T] = Future()
        if self._closed:
            future.cancel()
        else:
            self._jobs.put((future, function))
            self._grow()
        # Cancelling the result also cancels the job, if no thread has taken it yet.
        return asyncio.wrap_future(future)

    def close(self) -> None:
        """Start no more jobs and let each thread end after its current job, without waiting."""
        self._closed = True
        # Empty the queue first: the threads would otherwise do all jobs in it before they see their end marker.
        with contextlib.suppress(queue.Empty):
            while job := self._jobs.get_nowait():
                job[0].cancel()
        for _ in self._threads:
            self._jobs.put(None)

    def _grow(self) -> None:
        # This reserves an idle thread for the job; the queue's length does not show whether one is free to take it.
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._size:
            thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while job := self._jobs.get():
            future, function = job
            # False: the caller has given up, and a call that nobody awaits must not change anything.
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:  # noqa: BLE001 - re-raised in the caller
                    future.set_exception(error)
            self._idle.release()
