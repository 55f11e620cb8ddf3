"""The demonstration's processes: background services, each with a log file, and commands shown on the terminal."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scripts.demo.terminal import show, show_command
from tests.support.command import CommandFailed

BIN = Path(sys.executable).parent
_STOP_SECONDS = 10


class ServiceEnded(Exception):  # noqa: N818 - an outcome
    """A service exited unexpectedly; the text ends with the last lines of its log."""


class Service:
    """One running service."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def check(self) -> None:
        """Raise ServiceEnded when it no longer runs."""
        if self.process.poll() is not None:
            raise ServiceEnded(f"{self.log.stem} ended with status {self.process.returncode}:\n{self.last_words()}")

    def wait(self) -> None:
        """Wait until interrupted. Raises ServiceEnded when the service exits.

        Waits in steps: a signal that arrives just before a wait without a timeout would not interrupt it.
        """
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            self.check()

    def last_words(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if it does not exit in time."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def service(name: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> Iterator[Service]:
    """Run ``edge-controller ARGUMENTS`` in the background, logging to ``folder/NAME.log``."""
    show_command(["edge-controller", *arguments])
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        # In its own session, so that Ctrl-C reaches only us and we stop the services in order.
        process = subprocess.Popen(
            [BIN / "edge-controller", *arguments],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    running = Service(process, log)
    try:
        yield running
    finally:
        running.stop()


def capture(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program of the virtual environment and capture its output."""
    return subprocess.run(
        [BIN / arguments[0], *arguments[1:]], env=dict(environment), capture_output=True, text=True, check=False
    )


def shown(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a program of the virtual environment; show its command line and output on the terminal.

    Raises CommandFailed when it fails, without the output, which is on the terminal already.
    """
    show_command(arguments)
    done = capture(arguments, environment)
    show(done.stdout + done.stderr)
    if done.returncode:
        raise CommandFailed(f"{' '.join(arguments[:3])} ended with status {done.returncode}")
