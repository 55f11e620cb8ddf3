"""What the demonstration says on the terminal."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence


def say(text: str) -> None:
    """One step, in words."""
    print(f"\n==> {text}", flush=True)


def show_command(arguments: Sequence[str]) -> None:
    """A command as a person would type it."""
    print(f"$ {shlex.join(arguments)}", flush=True)


def show(text: str) -> None:
    """What a command printed."""
    print(text.rstrip(), flush=True)


def wait(what: str, probe: Callable[[], str | None], seconds: float) -> str:
    """Ask until the probe answers, with a running clock; raises TimeoutError that says what did not come."""
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
    # A log file gets no running clock.
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="", flush=True)
