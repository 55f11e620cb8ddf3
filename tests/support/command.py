"""Run a system command for the tests: argument lists only, and its own words when it fails."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

# Debian keeps daemons and ip in the sbin folders, which a user's PATH may lack.
SYSTEM_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


class CommandFailed(Exception):  # noqa: N818 - an outcome of a command
    """The command exited with another status than 0; the text holds the command and what it printed."""


def run(
    *arguments: str,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
    timeout: float = 30,
) -> subprocess.CompletedProcess[str]:
    """Run and capture; raises CommandFailed with the command's own error text unless ``check`` is off.

    ``environment`` is what is set besides our own.
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
