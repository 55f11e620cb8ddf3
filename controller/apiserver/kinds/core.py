"""The built-in kinds, which need no CustomResourceDefinition."""

from __future__ import annotations

import base64
from typing import Any

from controller.apiserver import failures
from controller.apiserver.kinds import core_columns, core_rules, definitions
from controller.apiserver.kinds.resources import FINALIZE, READ, STATUS, VERBS, Resource, Selectable
from controller.apiserver.schemas import identifiers
from controller.apiserver.schemas.causes import Cause

Object = dict[str, Any]

HOUR = 3600
ALL = ("all",)  # the category of ``kubectl get all``
UNDELETABLE = ("default", "kube-system")
INVOLVED_OBJECT_FIELDS = tuple(
    f"involvedObject.{name}" for name in ("name", "namespace", "kind", "uid", "apiVersion", "fieldPath")
)
EVENT_FIELDS = (
    *(Selectable(name) for name in (*INVOLVED_OBJECT_FIELDS, "reason", "reportingComponent", "type")),
    Selectable("source", ("source.component", "reportingComponent")),
)


def _namespace(item: Object, old: Object | None) -> Object:
    """Complete a namespace; ``spec.finalizers`` keep a deleted one until its content is removed."""
    metadata = item["metadata"]
    # After the given labels: selectors of namespaces rely on this one, so nobody may set it to something else.
    labels = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
    spec = item.get("spec") or {}
    # Only on create: on update the finalizer may be gone already, and adding it again would block the deletion.
    if old is None:
        spec = {**spec, "finalizers": list(dict.fromkeys((*(spec.get("finalizers") or ()), "kubernetes")))}
    status = {"phase": "Active", **(item.get("status") or {})}
    return {**item, "metadata": {**metadata, "labels": labels}, "spec": spec, "status": status}


def _namespace_faults(item: Object) -> list[Cause]:
    causes = []
    phase, ends = item["status"]["phase"], "deletionTimestamp" in item["metadata"]
    if phase != ("Terminating" if ends else "Active"):
        wanted = (
            "'Terminating' if `deletionTimestamp` is not empty" if ends else "'Active' if `deletionTimestamp` is empty"
        )
        causes.append(Cause("FieldValueInvalid", f'Invalid value: "{phase}": may only be {wanted}', "status.Phase"))
    return causes


def _terminate_namespace(item: Object) -> Object:
    """Mark a namespace as terminating. Raises failures.Failure (403) for one that must not be deleted."""
    name = item["metadata"]["name"]
    if name in UNDELETABLE:
        raise failures.forbidden(NAMESPACES, name, "this namespace may not be deleted")
    # A namespace has no grace period in Kubernetes either.
    metadata = {key: value for key, value in item["metadata"].items() if key != "deletionGracePeriodSeconds"}
    return {**item, "metadata": metadata, "status": {**(item.get("status") or {}), "phase": "Terminating"}}


def _terminate_definition(item: Object) -> Object:
    metadata = item["metadata"]
    # The objects go first: without their definition they could neither be read nor deleted.
    finalizers = [*(metadata.get("finalizers") or ()), definitions.CLEANUP]
    return {**item, "metadata": {**metadata, "finalizers": list(dict.fromkeys(finalizers))}}


def _secret(item: Object, _: Object | None) -> Object:
    """Move ``stringData``, which is write-only, to ``data``."""
    given = item.get("stringData") or {}
    encoded = {name: base64.b64encode(str(value).encode()).decode() for name, value in given.items()}
    # stringData wins over data, as in Kubernetes.
    data = {**(item.get("data") or {}), **encoded}
    kept = {name: value for name, value in item.items() if name != "stringData"}
    return {**kept, "type": item.get("type") or "Opaque", **({"data": data} if data else {})}


NAMESPACES = Resource(
    "", "v1", "namespaces", "Namespace", False, "namespace", ("ns",), subresources=(FINALIZE, STATUS),
    columns=core_columns.NAMESPACES, selectable=(Selectable("status.phase"),), prepare=_namespace,
    check=_namespace_faults, on_deletion=_terminate_namespace, validate_name=identifiers.dns_label,
    requires_qualified_finalizers=True,
    verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),
)  # fmt: skip
DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False,
    "customresourcedefinition", ("crd", "crds"), subresources=(STATUS,), has_generation=True,
    status_write_keeps_metadata=True, allows_unconditional_update=False,
    columns=core_columns.DEFINITIONS,
    prepare=definitions.with_status, check=definitions.faults,
    on_deletion=_terminate_definition,
)  # fmt: skip
EVENTS = Resource(
    "", "v1", "events", "Event", True, "event", ("ev",), columns=core_columns.EVENTS, selectable=EVENT_FIELDS,
    creates_on_update=True, check=core_rules.event, validate_name=identifiers.path_segment,
    expires=HOUR,
)  # fmt: skip

CONFIG_MAPS = Resource(
    "", "v1", "configmaps", "ConfigMap", True, "configmap", ("cm",), columns=core_columns.CONFIG_MAPS,
    check=core_rules.config_map, check_change=core_rules.immutability_faults, requires_qualified_finalizers=True,
)  # fmt: skip
SERVICE_ACCOUNTS = Resource(
    "", "v1", "serviceaccounts", "ServiceAccount", True, "serviceaccount", ("sa",),
    columns=core_columns.SERVICE_ACCOUNTS, requires_qualified_finalizers=True,
)  # fmt: skip
SERVICES = Resource(
    "", "v1", "services", "Service", True, "service", ("svc",), ALL, verbs=READ,
    columns=core_columns.SERVICES,
)  # fmt: skip

# Answered by reviews.py and never stored.
REVIEWS = (
    ("authentication", "SelfSubjectReview", False),
    ("authentication", "TokenReview", False),
    ("authorization", "SelfSubjectAccessReview", False),
    ("authorization", "SelfSubjectRulesReview", False),
    ("authorization", "SubjectAccessReview", False),
    ("authorization", "LocalSubjectAccessReview", True),
)

CORE: tuple[Resource, ...] = (
    NAMESPACES,
    EVENTS,
    Resource(
        "", "v1", "secrets", "Secret", True, "secret", columns=core_columns.SECRETS, selectable=(Selectable("type"),),
        prepare=_secret, check=core_rules.secret, check_change=core_rules.immutability_faults,
        requires_qualified_finalizers=True,
    ),
    CONFIG_MAPS,
    SERVICE_ACCOUNTS,
    Resource(
        "coordination.k8s.io", "v1", "leases", "Lease", True, "lease", expires=HOUR,
        columns=core_columns.LEASES, allows_unconditional_update=False, check=core_rules.lease,
    ),
    Resource(
        "", "v1", "nodes", "Node", False, "node", ("no",), subresources=(STATUS,), columns=core_columns.NODES,
        selectable=(Selectable("spec.unschedulable", absent="false"),), requires_qualified_finalizers=True,
    ),
    # Read-only, as nothing routes traffic to Services; clients look for the Service of the API itself.
    SERVICES,
    DEFINITIONS,
    *(
        Resource(f"{group}.k8s.io", "v1", f"{kind.lower()}s", kind, namespaced, kind.lower(), verbs=("create",))
        for group, kind, namespaced in REVIEWS
    ),
)  # fmt: skip
