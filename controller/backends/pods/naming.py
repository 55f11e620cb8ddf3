"""Names, labels and annotations: what makes an object of the cluster ours, and which runtime it belongs to.

Pure. Labels select, and hold at most 63 characters; the identity in full is in annotations.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from controller import names
from controller.api.kinds import RUNTIMES
from controller.backends.base import Identity, Target

# A StatefulSet's name and the hash of its template make a label, of at most 63 characters (apps/v1: 11 for the hash).
NAME_LIMIT = 50
_HASH_LENGTH = 8
# What a Service may be called (RFC 1035, section 2.3.1), and what a label may hold.
_DNS_1035 = re.compile(rf"[a-z]([-a-z0-9]{{0,{NAME_LIMIT - 2}}}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?")


def workload(identity: Identity) -> str:
    """The name of a runtime's StatefulSet and Service: the device id where it can be one, else made from it."""
    device = identity.device_id
    if _DNS_1035.fullmatch(device):
        return device
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    if not slug[:1].isalpha():
        slug = f"runtime-{slug}"
    return f"{slug[: NAME_LIMIT - _HASH_LENGTH - 1].rstrip('-')}-{digest(device)}"


def pod(identity: Identity) -> str:
    """The name of the one pod: as long as an object of this name exists, no other one is made."""
    return f"{workload(identity)}-0"


def claim(identity: Identity, volume: str) -> str:
    """The name of the claim that is a runtime's volume; the same after delete and create."""
    return f"{workload(identity)}-{volume}"


def digest(text: str) -> str:
    """A few characters that differ when the text does."""
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def label_value(text: str) -> str:
    """The text where a label can hold it, else a digest of it."""
    return text if _LABEL_VALUE.fullmatch(text) else f"sha256-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def install_labels(install_id: str) -> dict[str, str]:
    """Labels of everything that this installation makes."""
    return {names.MANAGED_LABEL: names.MANAGED_VALUE, names.INSTALL_LABEL: label_value(install_id)}


def labels(identity: Identity) -> dict[str, str]:
    """Labels of what belongs to one runtime; they select its pod."""
    return install_labels(identity.install_id) | {names.DEVICE_LABEL: label_value(identity.device_id)}


def selector(wanted: Mapping[str, str]) -> str:
    """The API's label selector for objects with all these labels."""
    return ",".join(f"{name}={value}" for name, value in wanted.items())


def metadata(target: Target, name: str, *, owned: bool = True) -> dict[str, Any]:
    """``metadata`` of a new object of this runtime. What is not ``owned`` stays when the Runtime goes."""
    return {
        "name": name,
        "namespace": target.identity.namespace,
        "labels": labels(target.identity),
        "annotations": identity_notes(target.identity),
        **({"ownerReferences": owner_references(target)} if owned else {}),
    }


def owner_references(target: Target) -> list[dict[str, Any]]:
    """The Runtime with which an object goes (API reference: OwnerReference)."""
    owner = {
        "apiVersion": RUNTIMES.api_version,
        "kind": RUNTIMES.kind,
        "name": target.name,
        "uid": target.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return [owner]


def owner_of(body: Mapping[str, Any]) -> str:
    """The uid of the Runtime with which an object goes, "" for none."""
    references = body["metadata"].get("ownerReferences") or ()
    return next((str(one["uid"]) for one in references if one["kind"] == RUNTIMES.kind), "")


def identity_notes(identity: Identity) -> dict[str, str]:
    """The identity in full."""
    return {names.NAMESPACE_LABEL: identity.namespace, names.DEVICE_LABEL: identity.device_id}


def identity_of(body: Mapping[str, Any], install_id: str) -> Identity | None:
    """Whose object this is, None when it is not ours."""
    described = body["metadata"]
    carried, notes = described.get("labels") or {}, described.get("annotations") or {}
    if any(carried.get(name) != value for name, value in install_labels(install_id).items()):
        return None
    namespace, device_id = notes.get(names.NAMESPACE_LABEL, ""), notes.get(names.DEVICE_LABEL, "")
    return Identity(install_id, namespace, device_id) if namespace and device_id else None
