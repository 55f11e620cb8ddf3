"""The name under which a container is made of its pinned image, so that `docker ps` shows what was asked for.

An engine shows the name that a container was created of. A digest is shown as its repository and tag when it is
given with them (distribution reference: repository:tag@digest names the digest, the tag is for people); an image
that came from no registry has only its id, and a tag that leads to this id as long as nobody moves it.
"""

from __future__ import annotations

from typing import Any

from controller.backends.docker.containers import labels
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.client import Engine
from controller.backends.docker.images.pulling import repository_of


def shown(making: labels.ContainerProvenance) -> str:
    """What a person would call the image; the pin where there is nothing better."""
    repository, _, digest = making.image.partition("@")
    _, tag = repository_of(making.image_source)
    if not making.image_source or tag.startswith("sha256:"):
        return making.image
    return f"{repository}:{tag}@{digest}" if digest else making.image_source


async def leads_to(engine: Engine, name: str, pin: str) -> bool:
    """Whether the engine means the pinned image by this name now. Raises Refusal when it does not have the pin."""
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


def may_move(name: str) -> bool:
    """Whether the name may lead to another image a moment later."""
    return "@" not in name and not name.startswith("sha256:")


def _image_id(client: Any, name: str) -> str:
    return str(client.inspect_image(name)["Id"])
