"""``make run`` ends, and puts away what it made, on each signal that ends a program, whoever gets it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DEMONSTRATION = f"""
import sys, threading
sys.path.insert(0, {str(PROJECT)!r})
from scripts.demo.signals import end_on_signals
end_on_signals()
try:
    print("up", flush=True)
    while True:  # a signal just before a wait without an end would not end it
        threading.Event().wait(0.1)
except KeyboardInterrupt:
    print("put away", flush=True)
"""
END_SECONDS = 60


@contextlib.contextmanager
def demonstration(folder: Path, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """One that is up, started by this command, as the Makefile of the project starts it."""
    (folder / "demonstration.py").write_text(DEMONSTRATION)
    (folder / "Makefile").write_text(f'.SILENT:\nrun:\n\tONCE="" exec {sys.executable} demonstration.py\n')
    # make test must not make this make its child.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    # The suite may run where SIGINT is ignored, as in the background of a script; make would ignore it as well.
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def to_make(made: subprocess.Popen[str], how: signal.Signals) -> None:
    made.send_signal(how)


def to_the_group(made: subprocess.Popen[str], how: signal.Signals) -> None:
    os.killpg(made.pid, how)


def twice(made: subprocess.Popen[str], how: signal.Signals) -> None:
    os.killpg(made.pid, how)
    os.killpg(made.pid, signal.SIGTERM)


@pytest.mark.parametrize(
    ("send", "how"),
    [
        (to_make, signal.SIGTERM),
        (to_make, signal.SIGINT),
        (to_the_group, signal.SIGTERM),
        (to_the_group, signal.SIGINT),
        (to_the_group, signal.SIGHUP),
        (twice, signal.SIGINT),
    ],
)
def test_it_is_put_away(
    tmp_path: Path, send: Callable[[subprocess.Popen[str], signal.Signals], None], how: signal.Signals
) -> None:
    with demonstration(tmp_path, ["make", "run"]) as made:
        send(made, how)
        # The pipe ends when the demonstration does, also where make went before it.
        assert made.communicate(timeout=END_SECONDS)[0] == "put away\n"


def test_it_is_put_away_in_the_background_of_a_script(tmp_path: Path) -> None:
    # A shell without job control starts these with SIGINT ignored.
    with demonstration(tmp_path, ["sh", "-c", "make run & wait"]) as shell:
        to_the_group(shell, signal.SIGINT)
        assert shell.communicate(timeout=END_SECONDS)[0] == "put away\n"
