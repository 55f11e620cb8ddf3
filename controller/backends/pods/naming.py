"""Names, labels and annotations that mark an object in the cluster as ours, and identify its runtime. Pure.

Labels are for selectors and hold at most 63 characters; annotations hold the full identity.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from controller import names
from controller.api.kinds import RUNTIMES
from controller.backends.base import Identity, Target
from controller.machinery import object_names

# Kubernetes puts a StatefulSet's name and the hash of its template (11 characters) into a label of at most 63.
NAME_LIMIT = 50
# Valid names of a Service (RFC 1035, section 2.3.1), and valid label values.
_DNS_1035 = re.compile(rf"[a-z]([-a-z0-9]{{0,{NAME_LIMIT - 2}}}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?")


def workload(identity: Identity) -> str:
    """The name of a runtime's StatefulSet and Service: the device id if it is valid, else derived from it."""
    device = identity.device_id
    if _DNS_1035.fullmatch(device):
        return device
    return object_names.readable(device, NAME_LIMIT, prefix="runtime")


def pod(identity: Identity) -> str:
    """The name of the runtime's only pod: while it exists, the cluster creates no other."""
    return f"{workload(identity)}-0"


def claim(identity: Identity, volume: str) -> str:
    """The name of the claim for a runtime's volume; the same after delete and create."""
    return f"{workload(identity)}-{volume}"


def label_value(text: str) -> str:
    """The text if it is a valid label value, else a digest of it."""
    return text if _LABEL_VALUE.fullmatch(text) else f"sha256-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def install_labels(install_id: str) -> dict[str, str]:
    """Labels of every object of this installation."""
    return {names.MANAGED_LABEL: names.MANAGED_VALUE, names.INSTALL_LABEL: label_value(install_id)}


def labels(identity: Identity) -> dict[str, str]:
    """Labels of the objects of one runtime; they select its pod."""
    return install_labels(identity.install_id) | {names.DEVICE_LABEL: label_value(identity.device_id)}


def selector(wanted: Mapping[str, str]) -> str:
    """The API's label selector for objects with all these labels."""
    return ",".join(f"{name}={value}" for name, value in wanted.items())


def metadata(target: Target, name: str, *, owned: bool = True) -> dict[str, Any]:
    """``metadata`` of a new object of this runtime. An object that is not ``owned`` outlives the Runtime."""
    return {
        "name": name,
        "namespace": target.identity.namespace,
        "labels": labels(target.identity),
        "annotations": identity_annotations(target.identity),
        **({"ownerReferences": owner_references(target)} if owned else {}),
    }


def owner_references(target: Target) -> list[dict[str, Any]]:
    """The reference to the Runtime that owns an object (API reference: OwnerReference)."""
    owner = {
        "apiVersion": RUNTIMES.api_version,
        "kind": RUNTIMES.kind,
        "name": target.name,
        "uid": target.uid,
        "controller": True,
        # True requires the right to update finalizers of Runtimes (OwnerReferencesPermissionEnforcement).
        "blockOwnerDeletion": False,
    }
    return [owner]


def owner_of(body: Mapping[str, Any]) -> str:
    """The uid of the Runtime that owns an object, "" for none."""
    references = body["metadata"].get("ownerReferences") or ()
    return next((str(one["uid"]) for one in references if one["kind"] == RUNTIMES.kind), "")


def identity_annotations(identity: Identity) -> dict[str, str]:
    """Annotations with the full identity."""
    return {names.NAMESPACE_LABEL: identity.namespace, names.DEVICE_LABEL: identity.device_id}


def identity_of(body: Mapping[str, Any], install_id: str) -> Identity | None:
    """The identity of the runtime that owns the object, None when it is not ours."""
    described = body["metadata"]
    carried, notes = described.get("labels") or {}, described.get("annotations") or {}
    if any(carried.get(name) != value for name, value in install_labels(install_id).items()):
        return None
    namespace, device_id = notes.get(names.NAMESPACE_LABEL, ""), notes.get(names.DEVICE_LABEL, "")
    return Identity(install_id, namespace, device_id) if namespace and device_id else None
