"""Who manages a Runtime: the cloud may change or delete only Runtimes that it created and no tool took over. Pure.

A tool marks what it manages by a label, an annotation or only its field manager; docs/decisions/123-ownership.md.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from controller import names

_ARGO_CD, _HELM, _KUBECTL = "Argo CD", "Helm", "kubectl"
_APPLICATION, _RELEASE = "the Argo CD Application", "the Helm release"
_INSTANCE_LABEL = "app.kubernetes.io/instance"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class _Mark(NamedTuple):
    """A label or annotation, in ``group`` of the metadata, whose value names the ``manager`` of the object."""

    group: str
    key: str
    manager: str


# The first one that an object has counts. Flux before Helm, since Flux's releases carry the marks of both.
_MARKS = (
    _Mark("labels", "kustomize.toolkit.fluxcd.io/name", "the Flux Kustomization"),
    _Mark("labels", "helm.toolkit.fluxcd.io/name", "the Flux HelmRelease"),
    _Mark("annotations", "argocd.argoproj.io/tracking-id", _APPLICATION),
    _Mark("labels", "argocd.argoproj.io/instance", _APPLICATION),
    _Mark("annotations", "meta.helm.sh/release-name", _RELEASE),
    _Mark("labels", "applyset.kubernetes.io/part-of", "the ApplySet"),
)
# Their plain updates declare the object, too. Any other manager does so only by a server-side apply.
_TOOLS = {
    "argocd-controller": _ARGO_CD,
    "argocd-application-controller": _ARGO_CD,
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
    "helm": _HELM,
    "kubectl-client-side-apply": _KUBECTL,
}


def is_managed_by_cloud(runtime: dict[str, Any]) -> bool:
    """Whether the cloud created the Runtime and no tool has taken it over."""
    return _group(runtime, "labels").get(names.ORIGIN_LABEL) == names.ORIGIN_CLOUD and not _tool(runtime)


def owner(runtime: dict[str, Any]) -> str:
    """Describe who manages a Runtime that is not the cloud's: a tool, or else the manager that last wrote its spec."""
    if tool := _tool(runtime):
        return tool
    last: dict[str, Any] = max(_writers(runtime), key=lambda entry: str(entry.get("time") or ""), default={})
    return _described(str(last.get("manager") or ""))


def _tool(runtime: dict[str, Any]) -> str:
    """The tool that manages the Runtime, or ""."""
    return _marked(runtime) or _applied(runtime)


def _marked(runtime: dict[str, Any]) -> str:
    """The tool that a label or annotation of its own names."""
    for mark in _MARKS:
        # Argo CD's tracking id is APPLICATION:GROUP/KIND:NAMESPACE/NAME.
        if name := _group(runtime, mark.group).get(mark.key, "").partition(":")[0]:
            return f"{mark.manager} {name}"
    labels = _group(runtime, "labels")
    tool = labels.get(names.MANAGED_LABEL, names.MANAGED_VALUE)
    if tool == names.MANAGED_VALUE:
        return ""
    return f"{_RELEASE} {labels.get(_INSTANCE_LABEL, '')}".strip() if tool == _HELM else tool


def _applied(runtime: dict[str, Any]) -> str:
    """The tool that applied a part of the spec, by its field manager or by a mark that others use, too."""
    tools = [_described(entry["manager"]) for entry in _writers(runtime) if _declares(entry)]
    instance = _group(runtime, "labels").get(_INSTANCE_LABEL)
    # Argo CD's default label for tracking, but charts and people set it as well.
    if instance and (not tools or _ARGO_CD in tools):
        return f"{_APPLICATION} {instance} (label {_INSTANCE_LABEL})"
    return next(iter(tools), _KUBECTL if _LAST_APPLIED in _group(runtime, "annotations") else "")


def _writers(runtime: dict[str, Any]) -> list[dict[str, Any]]:
    """The field managers of parts of the spec (API reference: ManagedFieldsEntry).

    Without ours: our writes, such as the placement, say nothing about who manages the Runtime.
    """
    return [
        entry
        for entry in runtime["metadata"].get("managedFields") or ()
        if "f:spec" in (entry.get("fieldsV1") or {}) and entry.get("manager") != names.FIELD_MANAGER
    ]


def _declares(entry: dict[str, Any]) -> bool:
    """Whether a manager declares what the object is to be, unlike a person's edit: it would revert changes."""
    return entry.get("operation") == "Apply" or entry.get("manager") in _TOOLS


def _described(manager: str) -> str:
    """A field manager in words; kubectl names its own after its commands, for example kubectl-edit."""
    return _TOOLS.get(manager) or (_KUBECTL if not manager or manager.startswith(_KUBECTL) else manager)


def _group(runtime: dict[str, Any], name: str) -> dict[str, str]:
    return runtime["metadata"].get(name) or {}
