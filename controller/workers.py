"""A bounded pool of threads for calls that block.

The threads are daemons, unlike those of concurrent.futures, which delay the exit of the process: a `docker stop` with a
grace period of minutes must not keep the controller from exiting. After a burst, all threads but one end.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

Job = tuple[Future[Any], Callable[[], Any]]

IDLE_SECONDS = 5.0  # a thread keeps 30 kB and more; starting one takes 0.1 ms of CPU


class Workers:
    """At most ``size`` threads named after ``name``, started on demand.

    All but one end after ``idle_seconds`` without a job.
    """

    def __init__(self, size: int, name: str, idle_seconds: float = IDLE_SECONDS) -> None:
        self._size = size
        self._name = name
        self._idle_seconds = idle_seconds
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._threads: set[threading.Thread] = set()
        self._free = 0  # threads without a job; negative: jobs that wait for a thread
        self._closed = False

    def run(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Run the function in a thread of the pool; cancelled when the pool is closed.

        A cancelled function that has not started never starts; a running one runs to its end. Raises RuntimeError if
        the pool has no thread and none can be started.
        """
        future: Future[T] = Future()
        if self._closed:
            future.cancel()
        else:
            self._jobs.put((future, function))
            try:
                self._grow()
            except RuntimeError:
                future.cancel()  # else a later thread would run it
                raise
        # Cancelling the result also cancels the job, if no thread has taken it yet.
        return asyncio.wrap_future(future)

    def close(self) -> None:
        """Start no more jobs and let each thread end after its current job, without waiting."""
        self._closed = True
        # Empty the queue first: the threads would otherwise do all jobs in it before they see their end marker.
        with contextlib.suppress(queue.Empty):
            while job := self._jobs.get_nowait():
                job[0].cancel()
        for _ in range(self._size):
            self._jobs.put(None)

    def _grow(self) -> None:
        with self._lock:
            self._free -= 1
            if self._free < 0 and len(self._threads) < self._size:
                thread = threading.Thread(target=self._work, name=f"{self._name}-{next(self._numbers)}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the host has no more; if the pool has any, the job waits for it
                    if not self._threads:
                        raise
                    return
                self._threads.add(thread)
                self._free += 1

    def _work(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Run a job; False if this thread ends. A thread that waits for the next job keeps nothing of the last one."""
        job = self._next()
        if job is None:
            return False
        future, function = job
        # False: the caller has given up, and a call that nobody awaits must not change anything.
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - re-raised in the caller
                future.set_exception(error)
        with self._lock:
            self._free += 1
        # The traceback of an error holds this frame: until the next collection it would keep itself, and the answer.
        del job, future
        return True

    def _next(self) -> Job | None:
        """The next job; None if this thread ends."""
        while True:
            try:
                return self._jobs.get(timeout=self._idle_seconds if len(self._threads) > 1 else None)
            except queue.Empty:
                if self._leave():
                    return None

    def _leave(self) -> bool:
        """Whether this thread may end: no job counts on it, and it is not the last one."""
        with self._lock:
            if self._free <= 0 or len(self._threads) == 1:
                return False
            self._free -= 1
            self._threads.remove(threading.current_thread())
            return True
