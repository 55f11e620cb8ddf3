"""A background program with a log file: starts it, waits until it is ready, and stops it. Not Kubernetes-specific."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

STOP_SECONDS = 20.0
_POLL_SECONDS = 0.02


class DaemonFailed(Exception):  # noqa: N818 - an outcome
    """The program exited or did not become ready; the text ends with the last lines of its log."""


class Daemon:
    """One running program; its log is ``FOLDER/NAME.log``."""

    def __init__(self, name: str, folder: Path, command: Sequence[str]) -> None:
        self._name = name
        self._log = folder / f"{name}.log"
        environment = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    @property
    def process_id(self) -> int:
        """Process id of the program."""
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until ``ready`` returns True. Raises DaemonFailed."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None:
                raise DaemonFailed(f"{self._name} ended with status {self._process.returncode}; {self._last_words()}")
            if time.monotonic() > deadline:
                raise DaemonFailed(f"{self._name} was not ready in {seconds:g} s; {self._last_words()}")
            time.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """Send SIGKILL and wait for the exit."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Send SIGTERM, then SIGKILL if the program does not exit in time."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _last_words(self) -> str:
        return "its log ends: " + " | ".join(self._log.read_text(errors="replace").splitlines()[-5:])
