"""Names for what we make on the machine (links, namespaces, folders), so that leftovers are known as ours.

A name carries the process id of its maker. What is still there when that process is gone may be removed by
anyone; what a living process owns is never touched.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path


def new_name(prefix: str) -> str:
    """A name that no other process uses; at most 12 characters after the prefix (links allow 15 in all)."""
    return f"{prefix}{os.getpid()}-{secrets.token_hex(2)}"


def owner(name: str, prefix: str) -> int | None:
    """The process id in a name made by ``new_name``, or None when the name is not one of ours."""
    match = re.fullmatch(re.escape(prefix) + r"(\d+)-[0-9a-f]{4}", name)
    return int(match[1]) if match else None


def is_orphan(name: str, prefix: str) -> bool:
    """Whether the name is ours and its maker has ended without cleaning up."""
    process = owner(name, prefix)
    return process is not None and not Path(f"/proc/{process}").exists()


def is_own(name: str, prefix: str) -> bool:
    """Whether this very process made the name."""
    return owner(name, prefix) == os.getpid()
