"""The image: pinned once, replaced only for another reference in a changed spec, and allowed by EDGE_IMAGE_PREFIXES.

Names are normalized as engines do it (ParseNormalizedNamed of distribution/reference), so ``plc`` equals
``docker.io/library/plc``. A prefix matches whole components of a name only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller import names
from controller.api import reasons
from controller.api.runtime_status import RuntimeStatus
from controller.api.runtimes import RuntimeSpec
from controller.backends.base import Step
from controller.backends.observation import Observed
from controller.runtimes.desired import Desired
from controller.runtimes.facets.facet import Drift, Facet, Finding
from controller.runtimes.outcome import Outcome, Report, of_reason

_HUB, _OFFICIAL = "docker.io", "library"
_HUB_ALIASES = ("index.docker.io",)


def refusal(desired: Desired) -> Outcome | None:
    """An image that EDGE_IMAGE_PREFIXES does not allow."""
    if desired.image_allowed:
        return None
    message = f"{desired.target.spec.image} is outside EDGE_IMAGE_PREFIXES: correct the image or the setting"
    return of_reason(reasons.IMAGE_NOT_ALLOWED, message)


def replaces(desired: Desired, observed: Observed, _made_from: RuntimeSpec) -> bool:
    """Whether both reference and pin differ: two references to one image, or two forms of one pin, are equal."""
    target = desired.target
    return observed.image.source != target.spec.image_reference and observed.image.pin != target.image


def repair(_desired: Desired, observed: Observed) -> Sequence[Step]:
    """Pin the image that runs."""
    return (Step.PIN_IMAGE,) if observed.image.unpinned else ()


def status(previous: RuntimeStatus, report: Report, observed: Observed) -> dict[str, Any]:
    """The image pin and its source; while a container with another pin exists, that one is reported."""
    image, source = report.target.image, report.image_source
    if observed.exists and observed.image.pin != image:
        image, source = observed.image.pin, observed.image.source
    if not image:
        return {}
    older = previous.image if previous.image not in (None, image) else previous.previous_image
    return {"image": image, "image_source": source or None, "previous_image": older}


def condition(report: Report, _observed: Observed, _found: Sequence[Drift]) -> Finding | None:
    """ImageAllowed, only if the image is not."""
    if report.image_allowed:
        return None
    message = f"{report.target.spec.image} is outside EDGE_IMAGE_PREFIXES: it is kept, but no new image is used"
    return Finding(names.IMAGE_ALLOWED, "False", reasons.IMAGE_NOT_ALLOWED, message)


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
    # As splitDockerDomain of distribution/reference: repositories are lower-case, so a capital letter marks a registry.
    return "." in word or ":" in word or word == "localhost" or word != word.lower()


def _registry(host: str) -> str:
    return _HUB if host.lower() in _HUB_ALIASES else host.lower()


FACET = Facet(
    spec_fields=frozenset({"image", "version", "digest"}),
    refusal=refusal,
    replaces=replaces,
    repair=repair,
    status=status,
    condition=condition,
)
