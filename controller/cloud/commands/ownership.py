"""Who manages a Runtime: the cloud may change or delete only Runtimes that it created and no tool took over. Pure.

Tools are recognised by the labels and annotations that they put on managed objects; docs/decisions/123-ownership.md.
"""

from __future__ import annotations

from typing import Any

from controller import names

_FLUX_KUSTOMIZATION = "kustomize.toolkit.fluxcd.io/name"
_FLUX_HELM_RELEASE = "helm.toolkit.fluxcd.io/name"
_ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
_HELM_RELEASE = "meta.helm.sh/release-name"


def is_managed_by_cloud(runtime: dict[str, Any]) -> bool:
    """Whether the cloud created the Runtime and no tool has taken it over."""
    return _labels(runtime).get(names.ORIGIN_LABEL) == names.ORIGIN_CLOUD and not _tool(runtime)


def owner(runtime: dict[str, Any]) -> str:
    """Describe who manages a Runtime that is not the cloud's: a tool, or else a field manager."""
    return _tool(runtime) or _field_manager(runtime)


def _tool(runtime: dict[str, Any]) -> str:
    """The tool that manages the Runtime, or "". Flux before Helm, since Flux's releases carry the marks of both."""
    labels, annotations = _labels(runtime), runtime["metadata"].get("annotations") or {}
    marks = (
        ("the Flux Kustomization", labels.get(_FLUX_KUSTOMIZATION)),
        ("the Flux HelmRelease", labels.get(_FLUX_HELM_RELEASE)),
        # The tracking id is APPLICATION:GROUP/KIND:NAMESPACE/NAME.
        ("the Argo CD Application", str(annotations.get(_ARGO_TRACKING) or "").partition(":")[0]),
        # Helm itself requires label and annotation before it treats an object as its own.
        ("the Helm release", annotations.get(_HELM_RELEASE) if labels.get(names.MANAGED_LABEL) == "Helm" else ""),
    )
    return next((f"{word} {name}" for word, name in marks if name), "")


def _field_manager(runtime: dict[str, Any]) -> str:
    """The field manager that last wrote a part of the spec (API reference: ManagedFieldsEntry)."""
    entries = [
        entry
        for entry in runtime["metadata"].get("managedFields") or ()
        # Our own writes, such as the placement, say nothing about who manages the Runtime.
        if "f:spec" in (entry.get("fieldsV1") or {}) and entry.get("manager") != names.FIELD_MANAGER
    ]
    last: dict[str, Any] = max(entries, key=lambda entry: str(entry.get("time") or ""), default={})
    manager = str(last.get("manager") or "")
    # kubectl names its managers after its commands, for example kubectl-client-side-apply.
    return "kubectl" if not manager or manager.startswith("kubectl") else manager


def _labels(runtime: dict[str, Any]) -> dict[str, str]:
    return runtime["metadata"].get("labels") or {}
