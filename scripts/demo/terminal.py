"""Prints the demonstration's output on the terminal."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence


def say(text: str) -> None:
    """Print the title of a step."""
    print(f"\n==> {text}", flush=True)


def show_command(arguments: Sequence[str]) -> None:
    """Print a command as a person would type it."""
    print(f"$ {shlex.join(arguments)}", flush=True)


def show(text: str) -> None:
    """Print the output of a command."""
    print(text.rstrip(), flush=True)


def wait(what: str, probe: Callable[[], str | None], seconds: float) -> str:
    """Call the probe until it returns a result, and show the elapsed time. Raises TimeoutError."""
    began = time.monotonic()
    while (answer := probe()) is None:
        waited = time.monotonic() - began
        if waited > seconds:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        _progress(f"    {what} ... {waited:.0f} s")
        time.sleep(0.2)
    _progress("")
    return answer


def _progress(text: str) -> None:
    # No progress line in a log file.
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="", flush=True)
