"""Images for the tests and the demonstration, built on this machine without a registry or a Dockerfile.

One layer (busybox, the Python modules that the control server loads, their shared libraries) and several
configurations of it, as one archive for ``docker load`` or for the test registry. Format: OCI image
specification, and the docker-archive layout of ``docker save``.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from functools import cached_property

import docker

from tests.support import image_files

REPOSITORY = "localhost/edge-runtime"


@dataclass(frozen=True)
class Layer:
    """A file system as an uncompressed tar."""

    content: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the tar: its diff id."""
        return digest_of(self.content)


@dataclass(frozen=True)
class Image:
    """A reference (``repository:tag``), a layer, and the defaults of its containers (OCI image config)."""

    reference: str
    layer: Layer
    settings: dict[str, object] = field(default_factory=dict)

    @cached_property
    def config(self) -> bytes:
        """The image's configuration document."""
        return to_json(
            {
                "architecture": image_files.architecture(),
                "os": "linux",
                "created": "1970-01-01T00:00:00Z",
                "config": self.settings,
                "rootfs": {"type": "layers", "diff_ids": [self.layer.digest]},
                "history": [{"created": "1970-01-01T00:00:00Z"}],
            }
        )

    @property
    def id(self) -> str:
        """The image id: the digest of its configuration."""
        return digest_of(self.config)


def runtime_images() -> list[Image]:
    """The soft PLC as versions 1 and 2, and ``crash``, which exits with status 1 at once."""
    layer = Layer(tar(image_files.collect()))
    versions = [Image(f"{REPOSITORY}:{version}", layer, _control_settings(version)) for version in ("1", "2")]
    crash = Image(f"{REPOSITORY}:crash", layer, {"Cmd": ["/bin/sh", "-c", "echo 'no program loaded'; exit 1"]})
    return [*versions, crash]


def load(client: docker.DockerClient, images: list[Image]) -> None:
    """Load the images into an engine."""
    client.images.load(archive(images))


def archive(images: list[Image]) -> bytes:
    """Return the images in the format of ``docker save``."""
    manifest = [
        {
            "Config": f"{image.id[7:]}.json",
            "RepoTags": [image.reference],
            "Layers": [f"{image.layer.digest[7:]}.tar"],
        }
        for image in images
    ]
    files = {"manifest.json": to_json(manifest)}
    for image in images:
        files[f"{image.id[7:]}.json"] = image.config
        files[f"{image.layer.digest[7:]}.tar"] = image.layer.content
    return tar([image_files.Entry(name, content) for name, content in files.items()])


def digest_of(content: bytes) -> str:
    """``sha256:...`` of the content."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def to_json(content: object) -> bytes:
    """Return compact JSON with the same bytes for the same content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _control_settings(version: str) -> dict[str, object]:
    return {
        "Entrypoint": [image_files.PYTHON, "-I", "-S", "-B", image_files.CONTROL],
        "Env": ["PATH=/bin:/sbin:/usr/bin", f"EDGE_TEST_VERSION={version}"],
        "ExposedPorts": {"8443/tcp": {}, "8080/tcp": {}},
    }


def tar(entries: list[image_files.Entry]) -> bytes:
    """The entries as an uncompressed tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archived:
        for entry in entries:
            archived.addfile(entry.tar_info(), io.BytesIO(entry.content))
    return buffer.getvalue()
