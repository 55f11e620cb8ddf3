"""Decides which images may be used (EDGE_IMAGE_PREFIXES). Pure.

Names are normalized as engines do it (ParseNormalizedNamed of distribution/reference), so ``plc`` equals
``docker.io/library/plc``. A prefix matches whole components of a name only.
"""

from __future__ import annotations

from controller.api.runtimes import RuntimeSpec

_HUB, _OFFICIAL = "docker.io", "library"
_HUB_ALIASES = ("index.docker.io",)


def allows(prefixes: tuple[str, ...], spec: RuntimeSpec) -> bool:
    """Whether the image of the spec matches one of the prefixes; without prefixes every image is allowed."""
    repository = _normalized(spec.image)
    reference = repository + spec.image_reference.removeprefix(spec.image)
    return not prefixes or any(
        _is_below(repository, form) or reference == form for prefix in prefixes for form in _forms(prefix)
    )


def _is_below(repository: str, prefix: str) -> bool:
    """Whether the repository is the prefix or below it; a prefix with a trailing slash does not match itself."""
    return repository == prefix or repository.startswith(f"{prefix.removesuffix('/')}/")


def _forms(prefix: str) -> tuple[str, ...]:
    """The meanings of a prefix: a registry if the first word looks like one, else an image or user on Docker Hub."""
    host, slash, rest = prefix.partition("/")
    if _is_registry(host):
        registry = _registry(host)
        has_tag = not slash and "." not in host and ":" in host  # "plc:1" looks like a registry with a port
        return (f"{registry}{slash}{rest}", *([f"{_HUB}/{_OFFICIAL}/{prefix}"] if has_tag else []))
    return (f"{_HUB}/{prefix}", *([] if rest else [f"{_HUB}/{_OFFICIAL}/{prefix}"]))


def _normalized(image: str) -> str:
    host, slash, rest = image.partition("/")
    if not slash or not _is_registry(host):
        host, rest = _HUB, image
    if (registry := _registry(host)) == _HUB and "/" not in rest:
        rest = f"{_OFFICIAL}/{rest}"
    return f"{registry}/{rest}"


def _is_registry(word: str) -> bool:
    return "." in word or ":" in word or word == "localhost" or word != word.lower()


def _registry(host: str) -> str:
    return _HUB if host.lower() in _HUB_ALIASES else host.lower()
