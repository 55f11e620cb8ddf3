"""Who manages a Runtime: the cloud may command every one, but create over, change or delete only its own. Pure."""

from __future__ import annotations

from typing import Any

from controller import names

_HELM_RELEASE = "meta.helm.sh/release-name"
_FLUX_KUSTOMIZATION = "kustomize.toolkit.fluxcd.io/name"
_FLUX_HELM_RELEASE = "helm.toolkit.fluxcd.io/name"


def is_clouds(runtime: dict[str, Any]) -> bool:
    """Whether the cloud made it."""
    return _labels(runtime).get(names.ORIGIN_LABEL) == names.ORIGIN_CLOUD


def owner(runtime: dict[str, Any]) -> str:
    """Who manages a Runtime that is not the cloud's, for a person: Flux, a Helm release, or a field manager."""
    labels = _labels(runtime)
    release = (runtime["metadata"].get("annotations") or {}).get(_HELM_RELEASE)
    if name := labels.get(_FLUX_KUSTOMIZATION):
        return f"the Flux Kustomization {name}"
    if name := labels.get(_FLUX_HELM_RELEASE):
        return f"the Flux HelmRelease {name}"
    if release and labels.get(names.MANAGED_LABEL) == "Helm":
        return f"the Helm release {release}"
    return _field_manager(runtime)


def _field_manager(runtime: dict[str, Any]) -> str:
    """The manager that wrote a part of the spec last (API reference: ManagedFieldsEntry)."""
    entries = [
        entry
        for entry in runtime["metadata"].get("managedFields") or ()
        if "f:spec" in (entry.get("fieldsV1") or {}) and entry.get("manager") != names.FIELD_MANAGER
    ]
    last: dict[str, Any] = max(entries, key=lambda entry: str(entry.get("time") or ""), default={})
    manager = str(last.get("manager") or "")
    return "kubectl" if not manager or manager.startswith("kubectl") else manager


def _labels(runtime: dict[str, Any]) -> dict[str, str]:
    return runtime["metadata"].get("labels") or {}
