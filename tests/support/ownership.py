"""Names for what we create on the machine (links, namespaces, folders), so that leftovers can be identified.

A name contains the pid of its creator. Any test run may remove the leftovers of a dead process; what a living process
owns is never touched.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path


def new_name(prefix: str) -> str:
    """Return a name that no other process uses, with at most 12 characters after the prefix (links allow 15 in all)."""
    return f"{prefix}{os.getpid()}-{secrets.token_hex(2)}"


def owner(name: str, prefix: str) -> int | None:
    """Return the pid in a name of ``new_name``, None when the name is not one of ours."""
    match = re.fullmatch(re.escape(prefix) + r"(\d+)-[0-9a-f]{4}", name)
    return int(match[1]) if match else None


def is_orphan(name: str, prefix: str) -> bool:
    """Return whether the name is ours and its creator died without cleaning up."""
    process = owner(name, prefix)
    return process is not None and not Path(f"/proc/{process}").exists()


def is_own(name: str, prefix: str) -> bool:
    """Return whether this process created the name."""
    return owner(name, prefix) == os.getpid()
