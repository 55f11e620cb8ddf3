"""Runs kopf in a thread with an event loop of its own, and restarts it whenever it exits.

kopf cancels arbitrary tasks of its loop, and after a crash leaves a timer that kills the process. In this loop it finds
only its own tasks, and the timer is disabled (ultimate_exiting_timeout).
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from controller.machinery.backoff import Backoff
from controller.machinery.client import Endpoint
from controller.runtimes.operator.submission import HasRead, Reconcile, Submission

log = logging.getLogger(__name__)

LOG_LEVELS = {
    "kopf": logging.WARNING,
    "kopf.objects": logging.WARNING,
    "kopf._core.reactor.running": logging.ERROR,  # it warns that it cannot handle signals in a thread
}

HEALTHY_SECONDS = 60.0  # a run longer than this resets the backoff

Serve = Callable[[Endpoint, Submission, str, str], Coroutine[Any, Any, None]]
"""Serves until cancelled: endpoint, submission, node name, field selector."""


def load_kopf() -> Serve:
    """Import kopf, which takes half a second, and return its operator."""
    serve: Serve = importlib.import_module("controller.runtimes.operator.kopf_operator").serve
    return serve


class OperatorThread:
    """Runs ``reconcile`` of the work queue in the loop that calls ``start``; kopf's loop only awaits the result.

    ``has_read``: whether a pass has read a version of a Runtime (Submission).
    ``field_selector`` selects the watched Runtimes on the server ("" for all).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        reconcile: Reconcile,
        has_read: HasRead,
        *,
        node: str,
        field_selector: str = "",
        load: Callable[[], Serve] = load_kopf,
    ) -> None:
        self._endpoint = endpoint
        self._reconcile = reconcile
        self._has_read = has_read
        self._node = node
        self._field_selector = field_selector
        self._load = load
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._current: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; call it in the loop of the work queue."""
        submit = Submission(self._reconcile, self._has_read, asyncio.get_running_loop())
        # A daemon: if kopf does not end in time, it must not keep the process alive.
        self._thread = threading.Thread(target=self._supervise, args=(submit,), name="operator", daemon=True)
        self._thread.start()

    async def stop(self, grace: float) -> bool:
        """Stop kopf and the thread for good; whether they ended within ``grace`` seconds."""
        self._stopping.set()  # before the check: the task that starts the thread may not have had its first turn yet
        if self._thread is None:
            return True
        with self._lock:
            if self._current is not None:
                loop, task = self._current
                loop.call_soon_threadsafe(task.cancel)
        await asyncio.to_thread(self._thread.join, grace)
        return not self._thread.is_alive()

    async def responds(self, seconds: float) -> bool:
        """Whether kopf's loop responds within ``seconds``; a stuck loop would handle nothing without any message."""
        responded = asyncio.Event()
        main = asyncio.get_running_loop()
        # While it is held, the loop cannot be closed between the check and the call.
        with self._lock:
            if self._current is None:
                return False
            self._current[0].call_soon_threadsafe(main.call_soon_threadsafe, responded.set)
        try:
            async with asyncio.timeout(seconds):
                await responded.wait()
        except TimeoutError:
            return False
        return True

    def _supervise(self, submit: Submission) -> None:
        for name, level in LOG_LEVELS.items():
            logging.getLogger(name).setLevel(level)
        backoff = Backoff(first=0.5)
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                asyncio.run(self._run_operator(self._load(), submit))
            except Exception:
                log.exception("The operator failed and is restarted")
            if time.monotonic() - began > HEALTHY_SECONDS:
                backoff.reset()
            self._stopping.wait(backoff.next())

    async def _run_operator(self, serve: Serve, submit: Submission) -> None:
        """Run kopf once; ``stop`` can cancel its task meanwhile."""
        task = asyncio.ensure_future(serve(self._endpoint, submit, self._node, self._field_selector))
        with self._lock:
            self._current = (asyncio.get_running_loop(), task)
            # ``stop`` came before there was a task to cancel.
            if self._stopping.is_set():
                task.cancel()
        try:
            # Unlike ``await task``, this does not raise the cancellation by ``stop``, which would end the thread.
            await asyncio.wait({task})
        finally:
            with self._lock:
                self._current = None
        if not task.cancelled():
            task.result()
            log.warning("The operator exited unexpectedly and is restarted")
