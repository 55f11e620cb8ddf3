"""Builds missing Kubernetes programs and finds them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

MODULE = Path(__file__).parent / "mod-kubernetes/go.mod"
BUILD = Path(__file__).parent / "build.sh"


class Unavailable(Exception):  # noqa: N818 - an outcome
    """The programs cannot be built; build.sh has printed the reason."""


def build(*names: str) -> Path:
    """The folder with these programs; building them takes minutes the first time. Raises Unavailable."""
    done = subprocess.run([BUILD, *names], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{', '.join(names)} could not be built: see above for what is missing")
    return Path(done.stdout.strip())


def version() -> str:
    """The Kubernetes version that is built, for example v1.35.4."""
    found = re.search(r"^require k8s\.io/kubernetes (\S+)$", MODULE.read_text(), re.MULTILINE)
    assert found, f"{MODULE} names no version of Kubernetes"
    return found[1]
