"""Requirements of tests on the machine. If one is missing the test is skipped; with CI=true it fails."""

from __future__ import annotations

import os

import pytest

from tests.support import dockerd


def root() -> None:
    """Require root, for network namespaces and Docker."""
    _need(os.geteuid() == 0, "needs root: it makes network namespaces and starts a Docker engine")


def programs(*names: str) -> None:
    """Require system programs, on the PATH or in the sbin folders."""
    missing = [name for name in names if dockerd.find(name) is None]
    _need(not missing, f"needs {', '.join(missing)}: run scripts/setup.sh as root")


def _need(met: bool, reason: str) -> None:
    if met:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI nothing is skipped, but this {reason}", pytrace=False)
    pytest.skip(reason)
