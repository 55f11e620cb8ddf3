"""Chooses the image name to create a container with, so that `docker ps` shows the image of the spec, not a pin.

An engine shows the image name that a container was created with. For an image with a digest that is
repository:tag@digest, of which only the digest counts (distribution reference). An image from no registry has only
its id, and a tag that resolves to this id until somebody moves it.
"""

from __future__ import annotations

from typing import Any

from controller.backends.docker.containers import labels
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.client import Engine
from controller.backends.docker.images.pulling import repository_of


def display_name(provenance: labels.ContainerProvenance) -> str:
    """The readable name of the image; the pin when there is none."""
    repository, _, digest = provenance.image.partition("@")
    _, tag = repository_of(provenance.image_source)
    if not provenance.image_source or tag.startswith("sha256:"):
        return provenance.image
    return f"{repository}:{tag}@{digest}" if digest else provenance.image_source


async def resolves_to(engine: Engine, name: str, pin: str) -> bool:
    """Whether the name currently resolves to the pinned image. Raises Refusal when the engine lacks the pin."""
    if name == pin:
        return True
    wanted = await engine.call(lambda client: _image_id(client, pin))
    try:
        found = await engine.call(lambda client: _image_id(client, name))
    except failures.Refusal as refusal:
        if refusal.status not in (400, 404):
            raise
        return False
    return found == wanted


def is_movable(name: str) -> bool:
    """Whether the name may resolve to another image a moment later."""
    return "@" not in name and not name.startswith("sha256:")


def _image_id(client: Any, name: str) -> str:
    return str(client.inspect_image(name)["Id"])
