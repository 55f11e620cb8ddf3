"""Pins of images: the digest in a registry's repository, or the id of an image that came from no registry. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from controller.backends.docker.engine.capabilities import Capabilities
from controller.backends.docker.images.pulling import is_on_docker_hub

Image = Mapping[str, Any]  # API reference: ImageInspect


def pin(image: Image, repository: str, capabilities: Capabilities, *, pulled: bool = False) -> str:
    """The image's digest in the repository, else its id; ``pulled``: we have just pulled it from there."""
    # One image may have digests in several repositories; only that of the spec is pulled with its credentials.
    wanted = _familiar(repository)
    digests = (digest for digest in image.get("RepoDigests") or () if digest.rpartition("@")[0] == wanted)
    digest = next(digests, "")
    from_registry = digest and (pulled or _came_from_registry(image, digest, capabilities))
    return digest if from_registry else str(image["Id"])


def _came_from_registry(image: Image, digest: str, capabilities: Capabilities) -> bool:
    """Whether a registry has the image under this digest.

    An engine with a containerd store names a digest for each image with a name, also for one built on the host. Only
    there the digest is the image's id.
    """
    repository, _, number = digest.partition("@")
    if number != image["Id"]:
        return True
    if capabilities.image_origins:
        origins = ((image.get("Identity") or {}).get("Pull")) or ()
        # Without the port of a registry, which containerd leaves out.
        return re.sub(r":\d+/", "/", repository) in {_familiar(origin.get("Repository", "")) for origin in origins}
    # The engine does not tell. On Docker Hub, somebody else may have an image of the name of a local one.
    return not is_on_docker_hub(repository)


def _familiar(repository: str) -> str:
    """The short form that engines use for Docker Hub's images (distribution reference: familiar name)."""
    for prefix in ("docker.io/library/", "docker.io/", "index.docker.io/library/", "index.docker.io/"):
        repository = repository.removeprefix(prefix)
    return repository.removeprefix("library/")
