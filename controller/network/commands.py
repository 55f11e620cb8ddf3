"""Runs system programs (mount, umount) with a timeout and reports their errors in one sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from controller import errors
from controller.api import reasons

_SECONDS = 10
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def run(arguments: Sequence[str]) -> None:
    """Run the program.

    Raises errors.Retry(STEP_FAILED) with the program's error output when it fails.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            # A fixed path: the PATH of many users and services lacks the sbin folders.
            env={"PATH": _SYSTEM_PATH},
        )
    except FileNotFoundError as error:
        message = f"{error.filename} is not installed on this host: install mount"
        raise errors.Retry(reasons.STEP_FAILED, message) from error
    name = arguments[0]
    complaint = await _finished(process, name)
    if process.returncode:
        raise errors.Retry(reasons.STEP_FAILED, f"{name} failed: {_one_line(complaint)}")


async def _finished(process: asyncio.subprocess.Process, name: str) -> bytes:
    """Return its error output; the program is killed on timeout and when the caller is cancelled."""
    try:
        async with asyncio.timeout(_SECONDS):
            _, complaint = await process.communicate()
            return complaint
    except TimeoutError as error:
        raise errors.Retry(reasons.STEP_FAILED, f"{name} did not finish within {_SECONDS} s") from error
    finally:
        # The timeout only ends our waiting: the program would go on and change links behind our back.
        if process.returncode is None:
            process.kill()
            await process.wait()


def _one_line(text: bytes) -> str:
    return " ".join(text.decode(errors="replace").split())[:300] or "it printed no error"
