"""The thread in which kopf runs: its own loop and nothing else in it, started again whenever it ends by itself.

kopf cancels the tasks of its loop at will and leaves a timer that kills the process after a crash; here it finds
only its own tasks, and the timer is off.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from controller.machinery.backoff import Backoff
from controller.machinery.client import Endpoint
from controller.runtimes.keys import Key
from controller.runtimes.reconciler import Result

log = logging.getLogger(__name__)

LOG_LEVELS = {
    "kopf": logging.WARNING,
    "kopf.objects": logging.WARNING,
    "kopf._core.reactor.running": logging.ERROR,  # it warns that signals are not its business in a thread
}

HEALTHY_SECONDS = 60.0  # a life longer than this forgets earlier failures

Reconcile = Callable[[Key], Coroutine[Any, Any, Result]]
Serve = Callable[[Endpoint, Reconcile, str, str], Coroutine[Any, Any, None]]
"""Serves until cancelled: endpoint, what to do with a key, node name, field selector."""


def load_kopf() -> Serve:
    """kopf's operator; imports kopf, which takes half a second.

    kopf loads other Kubernetes clients where they are installed, 5 MB for nothing: they are hidden from it.
    """
    hidden = [name for name in ("kubernetes", "pykube") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        serve: Serve = importlib.import_module("controller.runtimes.operator.kopf_operator").serve
    finally:
        for name in hidden:
            del sys.modules[name]
    return serve


class OperatorThread:
    """``reconcile`` is the work queue's and runs in the loop that calls ``start``; kopf's loop only waits for it.

    ``field_selector`` narrows which Runtimes are watched, on the server ("" for all).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        reconcile: Reconcile,
        *,
        node: str,
        field_selector: str = "",
        load: Callable[[], Serve] = load_kopf,
    ) -> None:
        self._endpoint = endpoint
        self._reconcile = reconcile
        self._node = node
        self._field_selector = field_selector
        self._load = load
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._current: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; call it in the loop of the work queue."""
        submit = partial(_submit, self._reconcile, asyncio.get_running_loop())
        self._thread = threading.Thread(target=self._supervise, args=(submit,), name="operator", daemon=True)
        self._thread.start()

    async def stop(self, grace: float) -> bool:
        """End kopf and the thread; whether they ended within ``grace`` seconds."""
        if self._thread is None:
            return True
        self._stopping.set()
        with self._lock:
            if self._current is not None:
                loop, task = self._current
                loop.call_soon_threadsafe(task.cancel)
        await asyncio.to_thread(self._thread.join, grace)
        return not self._thread.is_alive()

    async def responds(self, seconds: float) -> bool:
        """Whether kopf's loop runs and turns within ``seconds``: a loop that is stuck handles nothing, silently."""
        turned = asyncio.Event()
        main = asyncio.get_running_loop()
        with self._lock:
            if self._current is None:
                return False
            self._current[0].call_soon_threadsafe(main.call_soon_threadsafe, turned.set)
        try:
            async with asyncio.timeout(seconds):
                await turned.wait()
        except TimeoutError:
            return False
        return True

    def _supervise(self, submit: Reconcile) -> None:
        for name, level in LOG_LEVELS.items():
            logging.getLogger(name).setLevel(level)
        backoff = Backoff(first=0.5)
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                asyncio.run(self._live(self._load(), submit))
            except Exception:
                log.exception("The operator failed and is started again")
            if time.monotonic() - began > HEALTHY_SECONDS:
                backoff.reset()
            self._stopping.wait(backoff.next())

    async def _live(self, serve: Serve, submit: Reconcile) -> None:
        """One life of kopf; its task is known to ``stop`` while it lives."""
        task = asyncio.ensure_future(serve(self._endpoint, submit, self._node, self._field_selector))
        with self._lock:
            self._current = (asyncio.get_running_loop(), task)
            if self._stopping.is_set():
                task.cancel()
        try:
            await asyncio.wait({task})
        finally:
            with self._lock:
                self._current = None
        if not task.cancelled():
            task.result()
            log.warning("The operator ended by itself and is started again")


async def _submit(reconcile: Reconcile, main: asyncio.AbstractEventLoop, key: Key) -> Result:
    """Have the main loop do it, and wait for it in this one."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(reconcile(key), main))
