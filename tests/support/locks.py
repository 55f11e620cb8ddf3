"""What the project's lock files name."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2]
RUNTIME, DEVELOPMENT, BUILD = "requirements.lock", "requirements-dev.lock", "requirements-build.lock"


def locked(name: str = RUNTIME) -> dict[str, str]:
    """The versions that a lock file names, by package."""
    pins = re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s\\]+)", (PROJECT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in pins}
