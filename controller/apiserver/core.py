"""The kinds that are there without a CustomResourceDefinition, as a table."""

from __future__ import annotations

import base64
from typing import Any

from controller.apiserver import core_columns, definitions, event_versions
from controller.apiserver.resources import READ, VERBS, Resource
from controller.apiserver.structural import Cause

Object = dict[str, Any]

HOUR = 3600
EVENT_FIELDS = (
    "involvedObject.name", "involvedObject.namespace", "involvedObject.kind", "involvedObject.uid",
    "involvedObject.apiVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
)  # fmt: skip


def _namespace(item: Object, old: Object | None) -> Object:
    """A namespace stays until its content is gone: only the server lifts ``spec.finalizers``."""
    metadata = item["metadata"]
    labels = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
    finalizers = (old or {}).get("spec", {"finalizers": ["kubernetes"]})
    phase = "Terminating" if "deletionTimestamp" in metadata else "Active"
    status = {**(item.get("status") or {}), "phase": phase}
    return {**item, "metadata": {**metadata, "labels": labels}, "spec": finalizers, "status": status}


def _ending_namespace(item: Object) -> Object:
    return {**item, "status": {**(item.get("status") or {}), "phase": "Terminating"}}


def _ending_definition(item: Object) -> Object:
    metadata = item["metadata"]
    finalizers = [*(metadata.get("finalizers") or ()), definitions.CLEANUP]
    return {**item, "metadata": {**metadata, "finalizers": list(dict.fromkeys(finalizers))}}


def _secret(item: Object, _: Object | None) -> Object:
    """``stringData`` is for writing only."""
    given = item.get("stringData") or {}
    encoded = {name: base64.b64encode(str(value).encode()).decode() for name, value in given.items()}
    data = {**(item.get("data") or {}), **encoded}
    kept = {name: value for name, value in item.items() if name != "stringData"}
    return {**kept, "type": item.get("type") or "Opaque", **({"data": data} if data else {})}


def _strings(item: Object) -> list[Cause]:
    """The data of ConfigMaps and Secrets is text."""
    return [
        Cause("FieldValueTypeInvalid", f'Invalid value: "{type(value).__name__}": must be a string', f"{part}.{name}")
        for part in ("data", "binaryData")
        for name, value in (item.get(part) or {}).items()
        if not isinstance(value, str)
    ]


NAMESPACES = Resource(
    "", "v1", "namespaces", "Namespace", False, "namespace", ("ns",), has_status=True,
    columns=core_columns.NAMESPACES, selectable=("status.phase",), enter=_namespace,
    ending=_ending_namespace, verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),
)  # fmt: skip
DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False,
    "customresourcedefinition", ("crd", "crds"), has_status=True, has_generation=True,
    columns=core_columns.DEFINITIONS,
    enter=definitions.accepted, check=definitions.faults,
    ending=_ending_definition,
)  # fmt: skip
EVENTS = Resource(
    "", "v1", "events", "Event", True, "event", ("ev",), columns=core_columns.EVENTS, selectable=EVENT_FIELDS,
    expires=HOUR, renewed=(".lastTimestamp", ".eventTime", ".series.lastObservedTime"),
)  # fmt: skip

CONFIG_MAPS = Resource(
    "", "v1", "configmaps", "ConfigMap", True, "configmap", ("cm",), columns=core_columns.CONFIG_MAPS, check=_strings
)
SERVICE_ACCOUNTS = Resource(
    "", "v1", "serviceaccounts", "ServiceAccount", True, "serviceaccount", ("sa",),
    columns=core_columns.SERVICE_ACCOUNTS,
)  # fmt: skip
SERVICES = Resource(
    "", "v1", "services", "Service", True, "service", ("svc",), verbs=READ,
    columns=core_columns.SERVICES,
)  # fmt: skip

# Answered by reviews.py, stored nowhere.
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
        "events.k8s.io", "v1", "events", "Event", True, "event", ("ev",), columns=core_columns.EVENTS, storage="events",
        selectable=EVENT_FIELDS, enter=event_versions.stored, leave=event_versions.shown,
    ),
    Resource(
        "", "v1", "secrets", "Secret", True, "secret", columns=core_columns.SECRETS, selectable=("type",),
        enter=_secret, check=_strings,
    ),
    CONFIG_MAPS,
    SERVICE_ACCOUNTS,
    Resource(
        "coordination.k8s.io", "v1", "leases", "Lease", True, "lease", expires=HOUR, renewed=(".spec.renewTime",),
        columns=core_columns.LEASES,
    ),
    Resource(
        "", "v1", "nodes", "Node", False, "node", ("no",), has_status=True, columns=core_columns.NODES,
        selectable=("spec.unschedulable=false",),
    ),
    # Nothing here carries traffic to Services; clients look for the one of the API itself.
    SERVICES,
    DEFINITIONS,
    *(
        Resource(f"{group}.k8s.io", "v1", f"{kind.lower()}s", kind, namespaced, kind.lower(), verbs=("create",))
        for group, kind, namespaced in REVIEWS
    ),
)  # fmt: skip
