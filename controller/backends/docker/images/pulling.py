"""Image names, the credentials of a pull, and its progress. Pure.

Messages (API reference: ImageCreate) are lines with ``id``, ``status``, ``progressDetail`` or ``error``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.backends.docker.engine.failures import Refusal

_DOCKER_HUB = "docker.io"
# Pull secrets use any of these names; the last one is what `docker login` writes.
_HUB_NAMES = (_DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/")


class Download:
    """The progress of one pull."""

    def __init__(self, reference: str) -> None:
        self._reference = reference
        self._layers: dict[str, tuple[int, int]] = {}

    def take(self, line: dict[str, Any]) -> None:
        """Take one message. Raises Refusal when it reports an error."""
        if "error" in line:
            # The response began with status 200 before the pull could fail, so only its text tells the reason.
            raise Refusal(500, str((line.get("errorDetail") or {}).get("message") or line["error"]))
        detail, layer = line.get("progressDetail") or {}, line.get("id", "")
        if line.get("status") == "Downloading" and detail.get("total"):
            self._layers[layer] = (int(detail.get("current", 0)), int(detail["total"]))
        elif line.get("status") in ("Download complete", "Pull complete") and layer in self._layers:
            total = self._layers[layer][1]
            self._layers[layer] = (total, total)

    def describe(self) -> str:
        """Describe the progress in one sentence."""
        done = sum(current for current, _ in self._layers.values())
        total = sum(size for _, size in self._layers.values())
        if not total:
            return f"Pulling {self._reference}"
        megabytes = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
        return f"Pulling {self._reference}: {100 * done // total} % ({megabytes})"


def repository_of(reference: str) -> tuple[str, str]:
    """Split a reference into repository, and tag or digest, as a pull expects them."""
    if "@" in reference:
        repository, _, digest = reference.partition("@")
        return repository, digest
    repository, _, tag = reference.rpartition(":")
    return repository, tag


def readable_name(pin: str, source: str) -> str:
    """The image name to create a container with, so that `docker ps` shows the image of the spec; the pin without one.

    Of repository:tag@digest only the digest counts (distribution reference). An image from no registry has only its id,
    and a tag that resolves to this id until somebody moves it. ``source`` is the reference that gave the pin.
    """
    repository, _, digest = pin.partition("@")
    _, tag = repository_of(source)
    if not source or tag.startswith("sha256:"):
        return pin
    return f"{repository}:{tag}@{digest}" if digest else source


def is_movable(name: str) -> bool:
    """Whether the name may resolve to another image a moment later."""
    return "@" not in name and not name.startswith("sha256:")


def credentials_for(repository: str, credentials: Sequence[dict[str, str]]) -> dict[str, str] | None:
    """The credentials for the repository's registry, as the engine expects them (API reference: AuthConfig)."""
    wanted = _registry(repository)
    for given in credentials:
        if _same_registry(given.get("registry", ""), wanted):
            user, password = given.get("username", ""), given.get("password", "")
            return {"username": user, "password": password, "serveraddress": given["registry"]}
    return None


def _registry(repository: str) -> str:
    """The registry's host: the part before the first slash, if it looks like a host (distribution reference)."""
    first, slash, _ = repository.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else _DOCKER_HUB


def _same_registry(given: str, wanted: str) -> bool:
    if wanted == _DOCKER_HUB:
        return given in _HUB_NAMES
    return given.removeprefix("https://").removeprefix("http://").split("/")[0] == wanted
