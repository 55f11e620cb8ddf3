"""Runs a program as under MemoryDenyWriteExecute= of the systemd unit: ``python -m tests.support.unit_memory COMMAND``.

A library that generates machine code would start without it and fail in the field.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1  # prctl(2), from Linux 6.3 on; inherited by all that it executes


def supported() -> bool:
    """Whether this kernel can refuse it to a process."""
    found = ctypes.CDLL(None).prctl(66, 0, 0, 0, 0)  # PR_GET_MDWE
    return bool(found >= 0)


if __name__ == "__main__":
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this kernel cannot refuse it")
    os.execvp(sys.argv[1], sys.argv[1:])
