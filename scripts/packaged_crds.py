"""Writes the CRDs for the service: ``python -m scripts.packaged_crds``; with --check, fails if they are outdated."""

from __future__ import annotations

import json
import sys

from controller.api import crds
from controller.api.packaged_crds import FILE


def text() -> str:
    """The text of the file."""
    return json.dumps(crds.manifests(), indent=1) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        FILE.write_text(text())
    elif not FILE.exists() or FILE.read_text() != text():
        sys.exit(f"{FILE.name} differs from the models: run `make crds`")
