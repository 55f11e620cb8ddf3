"""Builds the controller's image with its Dockerfile on the local base, without a registry or package index."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import docker

from tests.support import base_image, image
from tests.support.command import run

PROJECT = Path(__file__).parents[2]
REFERENCE = "localhost/edge-controller:1"
# The files that .dockerignore does not exclude.
CONTEXT = ("Dockerfile", "LICENSE", "README.md", "controller", "pyproject.toml", "requirements.lock",
           "requirements-build.lock", "scripts/sbom.py")  # fmt: skip


def build(client: docker.DockerClient, *, cached: bool = True) -> Any:
    """Build the image, tagged REFERENCE."""
    image.load(client, [base_image.make()])
    built, _ = client.images.build(
        fileobj=_context(), custom_context=True, tag=REFERENCE, nocache=not cached, rm=True, forcerm=True,
        network_mode="none", buildargs={"BASE": base_image.REFERENCE, "PIP_NO_INDEX": "1"},
    )  # fmt: skip
    return built


def _context() -> io.BytesIO:
    wheels = Path(run(str(PROJECT / "scripts/wheels.sh"), timeout=300).stdout.strip())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in CONTEXT:
            tar.add(PROJECT / name, name, filter=_without_caches)
        tar.add(wheels, "wheels")
    buffer.seek(0)
    return buffer


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in entry.name else entry
