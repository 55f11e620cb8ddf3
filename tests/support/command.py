"""Runs system commands for the tests, and reports their output when they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

# Debian has daemons and ip in the sbin folders, which may be missing in a user's PATH.
SYSTEM_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


class CommandFailed(Exception):  # noqa: N818 - an outcome of a command
    """The command exited with a status other than 0; the message contains the command and its output."""


def run(
    *arguments: str,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
    timeout: float = 30,
) -> subprocess.CompletedProcess[str]:
    """Run a command and capture its output; raises CommandFailed with its error output unless ``check`` is off.

    ``environment`` is added to our own.
    """
    done = subprocess.run(
        arguments,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PATH": SYSTEM_PATH, **(environment or {})},
    )
    if check and done.returncode:
        raise CommandFailed(f"{' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done
