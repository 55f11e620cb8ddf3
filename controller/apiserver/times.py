"""The current time in the format of object metadata."""

from __future__ import annotations

import time

from controller.machinery.timestamps import rfc3339


def now() -> str:
    """The current time, in whole seconds."""
    return rfc3339(time.time())
