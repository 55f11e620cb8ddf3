"""Validation of Kubernetes' own kinds beyond their schema (API reference: ConfigMap, Secret, Lease, Event). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from controller.apiserver.schemas import identifiers
from controller.apiserver.schemas.causes import Cause, invalid, required, too_long

Object = dict[str, Any]

KEY = re.compile(r"[-._a-zA-Z0-9]+")
KEY_MESSAGE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
# Kubernetes' MaxSecretSize, which also holds for a ConfigMap.
DATA_BYTES = 1 << 20
KEY_OF_SSH = ("ssh-privatekey",)  # the value must not be empty
# Required keys by type of secret: one key of each group.
DEMANDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "kubernetes.io/tls": (("tls.crt",), ("tls.key",)),
    "kubernetes.io/basic-auth": (("username", "password"),),
    "kubernetes.io/ssh-auth": (KEY_OF_SSH,),
    "kubernetes.io/dockerconfigjson": ((".dockerconfigjson",),),
    "kubernetes.io/dockercfg": ((".dockercfg",),),
}
ACCOUNT_TYPE, ACCOUNT = "kubernetes.io/service-account-token", "kubernetes.io/service-account.name"
# Limits in bytes of the texts of an event; Kubernetes' messages call them characters.
EVENT_TEXTS = {"reportingInstance": 128, "action": 128, "reason": 128, "message": 1024}
CLUSTER_EVENTS = ("default", "kube-system")  # where events of cluster-scoped objects are stored


def config_map(item: Object) -> list[Cause]:
    """Faults of a ConfigMap."""
    data, binary = item.get("data") or {}, item.get("binaryData") or {}
    causes = [*_keys(data, "data"), *_keys(binary, "binaryData")]
    twice = sorted(data.keys() & binary.keys())
    causes += [invalid(f"data[{name}]", name, "duplicate of key present in binaryData") for name in twice]
    if sum(map(identifiers.size, data.values())) + sum(map(_decoded_size, binary.values())) > DATA_BYTES:
        causes.append(too_long("[]", DATA_BYTES))
    return causes


def secret(item: Object) -> list[Cause]:
    """Faults of a Secret."""
    data, kind = item.get("data") or {}, item["type"]
    causes = list(_keys(data, "data"))
    if sum(map(_decoded_size, data.values())) > DATA_BYTES:
        causes.append(too_long("data", DATA_BYTES))
    for group in DEMANDED.get(kind, ()):
        # An empty value is accepted, except for a key of SSH, as in Kubernetes.
        if not any(name in data for name in group) or (group == KEY_OF_SSH and not data[group[0]]):
            causes += [required(f"data[{name}]") for name in group]
    if kind == ACCOUNT_TYPE and not (item["metadata"].get("annotations") or {}).get(ACCOUNT):
        causes.append(required(f"metadata.annotations[{ACCOUNT}]"))
    return causes


def immutability_faults(item: Object, old: Object) -> list[Cause]:
    """Faults of a change to a ConfigMap or Secret: the type is fixed, and everything once ``immutable`` is set."""
    causes = []
    if item.get("type") != old.get("type"):
        causes.append(invalid("type", item.get("type"), "field is immutable"))
    if old.get("immutable"):
        why = "Forbidden: field is immutable when `immutable` is set"
        if not item.get("immutable"):
            causes.append(Cause("FieldValueForbidden", why, "immutable"))
        # Missing and empty are the same to Go.
        parts = [part for part in ("data", "binaryData") if (item.get(part) or {}) != (old.get(part) or {})]
        causes += [Cause("FieldValueForbidden", why, part) for part in parts]
    return causes


def lease(item: Object) -> list[Cause]:
    """Faults of a Lease."""
    spec = item.get("spec") or {}
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    causes = []
    if duration is not None and duration <= 0:
        causes.append(invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        causes.append(invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return causes


def event(item: Object) -> list[Cause]:
    """Faults of a core/v1 event; one with an ``eventTime`` has more required fields."""
    about = (item.get("involvedObject") or {}).get("namespace") or ""
    # Events about objects of the cluster have no namespace, but must be stored in one.
    if about != item["metadata"]["namespace"] and (about or item["metadata"]["namespace"] not in CLUSTER_EVENTS):
        return [invalid("involvedObject.namespace", about, "does not match event.namespace")]
    # An eventTime marks the newer API, which requires more; clients of the older one leave most fields out.
    return [*_event_texts(item)] if item.get("eventTime") else []


def _event_texts(item: Object) -> Iterator[Cause]:
    """Required texts of an event with an ``eventTime``, and their limits."""
    component = item.get("reportingComponent") or ""
    if not component:
        yield required("reportingComponent")
    yield from (invalid("reportingComponent", component, why) for why in identifiers.label_key(component))
    for field, most in EVENT_TEXTS.items():
        text = item.get(field) or ""
        if not text and field != "message":
            yield required(field)
        if identifiers.size(text) > most:
            yield invalid(field, "", f"can have at most {most} characters")


def _keys(data: Object, part: str) -> Iterator[Cause]:
    for name in data:
        field = f"{part}[{name}]"
        if identifiers.size(name) > identifiers.SUBDOMAIN_BYTES:
            yield invalid(field, name, f"must be no more than {identifiers.SUBDOMAIN_BYTES} characters")
        if not KEY.fullmatch(name):
            yield invalid(field, name, KEY_MESSAGE)
        # Keys become files in a mounted volume.
        if name in (".", ".."):
            yield invalid(field, name, f"must not be '{name}'")
        elif name.startswith(".."):
            yield invalid(field, name, "must not start with '..'")


def _decoded_size(text: str) -> int:
    """The size of base64 text after decoding, in bytes."""
    # Computed, not decoded: a megabyte would be decoded for its length alone.
    return len(text) * 3 // 4 - text.count("=", -2)
