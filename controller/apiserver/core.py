"""The kinds that are there without a CustomResourceDefinition, as a table."""

from __future__ import annotations

import base64
import re
from typing import Any

from controller.apiserver import core_columns, definitions, event_versions, failures
from controller.apiserver.resources import READ, VERBS, Resource
from controller.apiserver.structural import Cause
from controller.apiserver.subresources import FINALIZE, STATUS

Object = dict[str, Any]

HOUR = 3600
IMMORTAL = ("default", "kube-system")
EVENT_FIELDS = (
    "involvedObject.name", "involvedObject.namespace", "involvedObject.kind", "involvedObject.uid",
    "involvedObject.apiVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "type",
)  # fmt: skip


KEY = re.compile(r"[-._a-zA-Z0-9]+")
KEY_MESSAGE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def _source(item: Object) -> str:
    """Who reported a stored event, as field selectors name it."""
    return str((item.get("source") or {}).get("component") or item.get("reportingComponent") or "")


def _namespace(item: Object, old: Object | None) -> Object:
    """A namespace stays until its content is gone: ``spec.finalizers`` hold it."""
    metadata = item["metadata"]
    labels = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
    spec = item.get("spec") or {}
    if old is None:
        spec = {**spec, "finalizers": list(dict.fromkeys((*(spec.get("finalizers") or ()), "kubernetes")))}
    status = {"phase": "Active", **(item.get("status") or {})}
    return {**item, "metadata": {**metadata, "labels": labels}, "spec": spec, "status": status}


def _namespace_faults(item: Object) -> list[Cause]:
    causes = []
    name, phase, ends = item["metadata"]["name"], item["status"]["phase"], "deletionTimestamp" in item["metadata"]
    if "." in name:
        causes.append(Cause("FieldValueInvalid", f'Invalid value: "{name}": must not contain dots', "metadata.name"))
    if phase != ("Terminating" if ends else "Active"):
        wanted = (
            "'Terminating' if `deletionTimestamp` is not empty" if ends else "'Active' if `deletionTimestamp` is empty"
        )
        causes.append(Cause("FieldValueInvalid", f'Invalid value: "{phase}": may only be {wanted}', "status.Phase"))
    return causes


def _ending_namespace(item: Object) -> Object:
    """Raises failures.Failure (403) of one that everything counts on."""
    name = item["metadata"]["name"]
    if name in IMMORTAL:
        raise failures.forbidden(NAMESPACES, name, "this namespace may not be deleted")
    metadata = {key: value for key, value in item["metadata"].items() if key != "deletionGracePeriodSeconds"}
    return {**item, "metadata": metadata, "status": {**(item.get("status") or {}), "phase": "Terminating"}}


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


def _key_faults(item: Object) -> list[Cause]:
    """Of the data of ConfigMaps and Secrets."""
    return [
        Cause("FieldValueInvalid", f'Invalid value: "{key}": {KEY_MESSAGE}', f"{part}[{key}]")
        for part in ("data", "binaryData")
        for key in item.get(part) or {}
        if not KEY.fullmatch(key) or len(key) > 253 or key in (".", "..")
    ]


EVENT_SOURCES = (("source", _source), ("reportingController", _source))

NAMESPACES = Resource(
    "", "v1", "namespaces", "Namespace", False, "namespace", ("ns",), subresources=(FINALIZE, STATUS),
    columns=core_columns.NAMESPACES, selectable=("status.phase",), enter=_namespace, check=_namespace_faults,
    ending=_ending_namespace, verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),
)  # fmt: skip
DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False,
    "customresourcedefinition", ("crd", "crds"), subresources=(STATUS,), has_generation=True,
    status_alone=True, unconditional=False,
    columns=core_columns.DEFINITIONS,
    enter=definitions.accepted, check=definitions.faults,
    ending=_ending_definition,
)  # fmt: skip
EVENTS = Resource(
    "", "v1", "events", "Event", True, "event", ("ev",), columns=core_columns.EVENTS, selectable=EVENT_FIELDS,
    computed=EVENT_SOURCES,
    by_update=True, expires=HOUR, renewed=(".lastTimestamp", ".eventTime", ".series.lastObservedTime"),
)  # fmt: skip

CONFIG_MAPS = Resource(
    "", "v1", "configmaps", "ConfigMap", True, "configmap", ("cm",), columns=core_columns.CONFIG_MAPS, check=_key_faults
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
        selectable=EVENT_FIELDS, computed=EVENT_SOURCES, by_update=True, enter=event_versions.stored,
        leave=event_versions.shown,
    ),
    Resource(
        "", "v1", "secrets", "Secret", True, "secret", columns=core_columns.SECRETS, selectable=("type",),
        enter=_secret, check=_key_faults,
    ),
    CONFIG_MAPS,
    SERVICE_ACCOUNTS,
    Resource(
        "coordination.k8s.io", "v1", "leases", "Lease", True, "lease", expires=HOUR, renewed=(".spec.renewTime",),
        columns=core_columns.LEASES, unconditional=False,
    ),
    Resource(
        "", "v1", "nodes", "Node", False, "node", ("no",), subresources=(STATUS,), columns=core_columns.NODES,
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
