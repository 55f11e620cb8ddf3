"""Runs system programs (ip, mount, umount) with a timeout and reports their errors in one sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from controller import errors
from controller.api import reasons

_SECONDS = 10
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def run(arguments: Sequence[str], text: str = "") -> str:
    """Return the program's output; ``text`` is its input.

    Raises errors.Retry(STEP_FAILED) with the program's error output when it fails.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # A fixed path: the PATH of many users and services lacks the sbin folders, where ip is.
            env={"PATH": _SYSTEM_PATH},
        )
    except FileNotFoundError as error:
        message = f"{error.filename} is not installed on this host: install iproute2 and mount"
        raise errors.Retry(reasons.STEP_FAILED, message) from error
    name = arguments[0]
    output, complaint = await _finished(process, text, name)
    if process.returncode:
        raise errors.Retry(reasons.STEP_FAILED, f"{name} failed: {_one_line(complaint)}")
    return output.decode()


async def _finished(process: asyncio.subprocess.Process, text: str, name: str) -> tuple[bytes, bytes]:
    """Return stdout and stderr; the program is killed on timeout and when the caller is cancelled."""
    try:
        async with asyncio.timeout(_SECONDS):
            return await process.communicate(text.encode())
    except TimeoutError as error:
        raise errors.Retry(reasons.STEP_FAILED, f"{name} did not finish within {_SECONDS} s") from error
    finally:
        # The timeout only ends our waiting: the program would go on and change links behind our back.
        if process.returncode is None:
            process.kill()
            await process.wait()


def _one_line(text: bytes) -> str:
    return " ".join(text.decode(errors="replace").split())[:300] or "it printed no error"
