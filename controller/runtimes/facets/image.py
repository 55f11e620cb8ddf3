"""The image: pinned once, replaced only for another reference in a changed spec."""

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


FACET = Facet(
    spec_fields=frozenset({"image", "version", "digest"}),
    refusal=refusal,
    replaces=replaces,
    repair=repair,
    status=status,
    condition=condition,
)
