"""Finds differences between a spec and a container, facet by facet. Pure: the plan decides what to do about them."""

from __future__ import annotations

from controller.api.runtimes import RuntimeSpec
from controller.backends.observation import Observed
from controller.runtimes.facets import facet
from controller.runtimes.facets.facet import Drift
from controller.runtimes.facets.table import FACETS


def of(spec: RuntimeSpec, observed: Observed, condition: str | None = None) -> list[Drift]:
    """All drift, or only that which the condition of this type reports."""
    chosen = [each for each in FACETS if condition is None or each.drift_condition == condition]
    return [found for each in chosen for found in each.drift(spec, observed)]


def summary(spec: RuntimeSpec, observed: Observed) -> str:
    """All drift in one sentence; "" without drift."""
    return facet.describe(of(spec, observed))


def changed_fields(spec: RuntimeSpec, made_from: RuntimeSpec) -> tuple[str, ...]:
    """Paths of the changed fields that require another container.

    List entries are identified by name. Values are left out because they may be secret.
    """
    explaining = set[str]().union(*(each.spec_fields for each in FACETS))
    # By alias: people know the fields by their names in the API.
    desired, made_with = (
        whole.model_dump(mode="json", by_alias=True, include=explaining) for whole in (spec, made_from)
    )
    return tuple(sorted(_changed("spec", desired, made_with)))


def _changed(path: str, desired: object, made_with: object) -> list[str]:
    if desired == made_with:
        return []
    if isinstance(desired, dict) and isinstance(made_with, dict):
        fields = desired.keys() | made_with.keys()
        return [
            found for name in fields for found in _changed(f"{path}.{name}", desired.get(name), made_with.get(name))
        ]
    if (ours := _by_name(desired)) is not None and (theirs := _by_name(made_with)) is not None:
        return [f"{path}[{name}]" for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]
    return [path]


def _by_name(value: object) -> dict[str, object] | None:
    """The entries of a list by their names; None if ``value`` is no list."""
    if not isinstance(value, list):
        return None
    return {entry["name"]: entry for entry in value if isinstance(entry, dict) and "name" in entry}
