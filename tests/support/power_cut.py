"""Kills a piece of work before each of its disk operations in turn."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

STEPS = ("os.rename", "os.remove", "os.mkdir", "os.chmod", "sqlite3.connect", "shutil.copyfile")
CUT = 9


def at_every_step(prepare: Callable[[], None], work: Callable[[], object]) -> Iterator[int]:
    """Yield after each kill, with its number, until the work completes; ``prepare`` runs before each attempt."""
    number, ended = 0, False
    while not ended:
        number += 1
        prepare()
        ended = not _cut(work, number)
        yield number


def _cut(work: Callable[[], object], number: int) -> bool:
    """Run the work in a process that dies before the operation of that number; return whether it had that many."""
    child = os.fork()
    if child == 0:
        _work(work, number)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, CUT), f"the work failed: {code}"
    return code == CUT


def _work(work: Callable[[], object], number: int) -> None:
    left = number

    def step(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in STEPS or writes:
            left -= 1
            if left == 0:
                os._exit(CUT)

    os.umask(0)  # the modes must be set by the work itself
    sys.addaudithook(step)
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)
