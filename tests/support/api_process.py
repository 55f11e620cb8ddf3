"""An embedded API server in its own process, which can be killed and restarted within milliseconds.

Each is forked from one process that has imported everything (multiprocessing's fork server).
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from controller import tls_buffers
from controller.apiserver.server import ApiServer

NAMESPACE = "edge"
START_SECONDS = 60.0


class ApiProcess:
    """One server on its own port; ``kill`` is kill -9."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory = directory
        self._port = port
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        self._process: BaseProcess | None = None

    @property
    def process_id(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def start(self) -> None:
        """Wait until the server answers."""
        answers, reported = self._context.Pipe(duplex=False)
        self._process = self._context.Process(target=_run, args=(self._directory, self._port, reported), daemon=True)
        self._process.start()
        reported.close()
        assert answers.poll(START_SECONDS), "the API server did not start"
        assert answers.recv() == "started"
        answers.close()

    def kill(self) -> None:
        """Kill the server in the middle of its work."""
        assert self._process is not None
        self._process.kill()
        self._process.join()


def _run(directory: Path, port: int, reported: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tls_buffers.shrink()  # as the service does (cli/run.py)
    asyncio.run(_serve(directory, port, reported))


async def _serve(directory: Path, port: int, reported: Connection) -> None:
    await ApiServer(directory, "127.0.0.1", port, [], NAMESPACE).start()
    reported.send("started")
    await asyncio.Event().wait()
