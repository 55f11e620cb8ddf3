"""Image names, the credentials of a pull, and its progress. Pure.

Messages (API reference: ImageCreate) are lines with ``id``, ``status``, ``progressDetail`` or ``error``.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from controller.backends.docker.engine.failures import Refusal

_DOCKER_HUB = "docker.io"
# Pull secrets use any of these names; `docker login` writes https://index.docker.io/v1/.
_HUB_NAMES = (_DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_API_VERSIONS = ("v1", "v2")
_NO_MATCH = (-1, False)


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
    """The credentials for the repository, as the engine expects them (API reference: AuthConfig).

    As a kubelet chooses them: of the entries that match, the one with the longest path, then one without wildcards.
    """
    registry, path = _registry_and_path(repository)
    ranked = [(_rank(given.get("registry", ""), registry, path), given) for given in credentials]
    rank, best = max(ranked, key=lambda each: each[0], default=(_NO_MATCH, {}))
    if rank == _NO_MATCH:
        return None
    user, password = best.get("username", ""), best.get("password", "")
    return {"username": user, "password": password, "serveraddress": best["registry"]}


def _rank(entry: str, registry: str, path: str) -> tuple[int, bool]:
    """How well an entry of a pull secret fits: the length of its path, and whether its host is exact."""
    host, _, given = entry.removeprefix("https://").removeprefix("http://").partition("/")
    parts = [part for part in given.split("/") if part]
    if parts and parts[0] in _API_VERSIONS:
        parts = parts[1:]
    host = _DOCKER_HUB if host in _HUB_NAMES else host
    # Whole parts of the path: credentials for /plant are not sent for /plant-of-others.
    if not _fits(host, registry) or path.split("/")[: len(parts)] != parts:
        return _NO_MATCH
    return len("/".join(parts)), host == registry


def _fits(pattern: str, registry: str) -> bool:
    """Whether the host matches label by label, where a wildcard stays within its label, and the port is the same."""
    pattern_host, _, pattern_port = pattern.partition(":")
    host, _, port = registry.partition(":")
    labels, wanted = host.split("."), pattern_host.split(".")
    same_shape = len(labels) == len(wanted) and port == pattern_port
    return same_shape and all(map(fnmatchcase, labels, wanted))


def is_on_docker_hub(repository: str) -> bool:
    """Whether the repository is one of Docker Hub, as all without a registry in their name are."""
    return _registry_and_path(repository)[0] == _DOCKER_HUB


def _registry_and_path(repository: str) -> tuple[str, str]:
    """The registry's host, which is the part before the first slash if it looks like one (distribution reference)."""
    first, slash, rest = repository.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        return _DOCKER_HUB, repository
    return (_DOCKER_HUB if first in _HUB_NAMES else first), rest
