"""Reads the project's lock files."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2]
RUNTIME, DEVELOPMENT, BUILD = "requirements.lock", "requirements-dev.lock", "requirements-build.lock"


def locked(name: str = RUNTIME) -> dict[str, str]:
    """Return the versions in a lock file by package."""
    pins = re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s\\]+)", (PROJECT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in pins}
