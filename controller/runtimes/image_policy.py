"""Which images a site allows (EDGE_IMAGE_PREFIXES). Pure.

Names are compared in the form that engines resolve them to (distribution reference: ParseNormalizedNamed), so that
``plc`` and ``docker.io/library/plc`` are one, and a prefix ends where a component of the name ends.
"""

from __future__ import annotations

from controller.api.runtimes import RuntimeSpec

_HUB, _OFFICIAL = "docker.io", "library"
_HUB_ALIASES = ("index.docker.io",)


def allows(prefixes: tuple[str, ...], spec: RuntimeSpec) -> bool:
    """Whether the image of the spec is below one of the prefixes; without prefixes every image is."""
    repository = _normalized(spec.image)
    reference = repository + spec.image_reference.removeprefix(spec.image)
    return not prefixes or any(
        _is_below(repository, form) or reference == form for prefix in prefixes for form in _forms(prefix)
    )


def _is_below(repository: str, prefix: str) -> bool:
    """A prefix with a slash at its end names what is below it, and not itself."""
    return repository == prefix or repository.startswith(f"{prefix.removesuffix('/')}/")


def _forms(prefix: str) -> tuple[str, ...]:
    """What a prefix can mean: one word is a registry when it looks like one, else a name or a user on Docker Hub."""
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
