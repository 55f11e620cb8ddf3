"""Ends the demonstration on SIGINT, SIGTERM and SIGHUP, even if only the parent ``make`` receives them."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_SECONDS = 0.5


def end_on_signals() -> None:
    """Raise KeyboardInterrupt at the first signal and ignore later ones, so that the cleanup is not interrupted.

    Also enables SIGINT, which a shell ignores in background processes.
    """
    for each in _SIGNALS:
        signal.signal(each, _interrupt)
    make = os.getppid()
    if _status(make, "Name") in ("make", "gmake"):
        threading.Thread(target=_follow_make, args=(make, _status(make, "SigCgt")), daemon=True).start()


def _interrupt(*_: object) -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _follow_make(make: int, caught: str) -> None:
    """Interrupt ourselves when make has exited or received SIGINT, which it does not forward to its recipe.

    make resets its handler when it receives the signal (proc_pid_status(5): SigCgt).
    """
    never = threading.Event()
    while os.getppid() == make and _status(make, "SigCgt") == caught:
        never.wait(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGINT)


def _status(process: int, field: str) -> str:
    """A field of the process's status, "" when the process has exited."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return ""
    return next(line.split()[1] for line in lines if line.startswith(f"{field}:"))
