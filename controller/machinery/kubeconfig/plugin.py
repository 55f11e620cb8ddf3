"""Runs a credential plugin with bounds: in place of ``subprocess.Popen`` inside the ``kubernetes`` package."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, ClassVar

OUTPUT_LIMIT = 1 << 20  # characters
COMPLAINT_LIMIT = 200  # characters of the plugin's last error line
# A plugin may print a token with its error: what follows such a word, and long words, are left out.
_SECRETS = re.compile(
    r"(?i)\b(?P<word>[\w-]*(?:token|secret|passw|authorization|bearer|api.?key)[\w-]*[\"']?\s*[:=]\s*(?:(?:bearer|basic)\s+)?|bearer\s+)\S+"
    r"|[\w+/=.-]{32,}"
)


class Plugin(subprocess.Popen[str]):
    """A plugin without a terminal and in a process group of its own, which ends with it."""

    running: ClassVar[str] = ""

    def __init__(self, arguments: Sequence[str], **options: Any) -> None:
        Plugin.running = Path(arguments[0]).name
        # These take precedence over the options of the package, which passes its own stdin on to an interactive plugin.
        # ``errors``: bytes that are no UTF-8 must not end the thread that reads them.
        bounds = {"stdin": subprocess.DEVNULL, "errors": "replace", "process_group": 0}
        super().__init__(arguments, **(options | bounds))

    def communicate(self, _input: str | None = None, _timeout: float | None = None) -> tuple[str, str]:
        """Return the output, and the last error line without secrets. Raises ValueError for too much output."""
        if self.stdout is None or self.stderr is None:
            raise ValueError("exec: it was started without pipes")
        complaint = [""]
        # A daemon: a descendant that survives the group may keep the pipe open.
        reading = threading.Thread(target=_read_last_line, args=(self.stderr, complaint), daemon=True)
        reading.start()
        try:
            output = self.stdout.read(OUTPUT_LIMIT + 1)
            if len(output) > OUTPUT_LIMIT:
                raise ValueError("exec: it printed more than 1 MiB: configure it to print an ExecCredential")
            self.wait()
            reading.join()
        finally:
            if self.poll() is None:
                # The group, as plugins are often shell scripts, whose children would keep the pipes open.
                os.killpg(self.pid, signal.SIGKILL)
                self.wait()
        return output, complaint[0]


def without_secrets(text: str) -> str:
    """The text with the values of tokens and passwords, and with all long words, replaced."""
    return _SECRETS.sub(lambda match: f"{match['word'] or ''}...", text)


def _read_last_line(stream: IO[str], result: list[str]) -> None:
    """Read to the end, so that the plugin never waits, and keep the last line."""
    tail = ""
    while part := stream.read(1 << 12):
        tail = (tail + part)[-(1 << 13) :]
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    result[0] = without_secrets(lines[-1])[:COMPLAINT_LIMIT] if lines else ""
