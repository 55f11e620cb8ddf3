"""Builds the manifests of a runtime: StatefulSet, Service, claims. Pure.

A StatefulSet instead of a Deployment, because its fixed pod name prevents a second pod while the first one exists.
OnDelete, because a changed template must not restart pods (decision 101).
"""

from __future__ import annotations

from typing import Any

from controller import names
from controller.backends.base import Target
from controller.backends.pods import naming, template

VOLUME_SIZE = "1Gi"


def stateful_set(target: Target, image: str) -> dict[str, Any]:
    """The workload, scaled to zero: starting it is a separate step."""
    name = naming.workload(target.identity)
    return {
        "metadata": naming.metadata(target, name),
        "spec": {
            "replicas": 0,
            "serviceName": name,
            "selector": {"matchLabels": _pod_labels(target)},
            "updateStrategy": {"type": "OnDelete"},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "template": template.make(target, image),
        },
    }


def service(target: Target) -> dict[str, Any]:
    """The Service that exposes the runtime's control port inside the cluster."""
    port = target.spec.control_port.port
    return {
        "metadata": naming.metadata(target, naming.workload(target.identity)),
        "spec": {
            "selector": _pod_labels(target),
            "ports": [{"name": "control", "port": port, "targetPort": port, "protocol": "TCP"}],
        },
    }


def serves(target: Target, service: dict[str, Any]) -> bool:
    """Whether a Service exposes the spec's current control port."""
    return [port.get("port") for port in service["spec"].get("ports") or ()] == [target.spec.control_port.port]


def claims(target: Target) -> list[dict[str, Any]]:
    """The claims for the spec's volumes; they belong to the identity and outlive the Runtime."""
    return [
        {
            "metadata": naming.metadata(target, naming.claim(target.identity, volume.name), owned=False),
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": VOLUME_SIZE}}},
        }
        for volume in target.spec.volumes
    ]


def _pod_labels(target: Target) -> dict[str, str]:
    found = naming.labels(target.identity)
    return {name: found[name] for name in (names.INSTALL_LABEL, names.DEVICE_LABEL)}
