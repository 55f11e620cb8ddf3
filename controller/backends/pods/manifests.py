"""The objects around a runtime's pod: StatefulSet, Service, claims. Pure.

StatefulSet and not Deployment, because a pod's name is taken as long as an object of it exists; OnDelete, because a
changed template shall roll nothing (decision 101).
"""

from __future__ import annotations

from typing import Any

from controller import names
from controller.backends.base import Target
from controller.backends.pods import naming, template

VOLUME_SIZE = "1Gi"


def stateful_set(target: Target, image: str) -> dict[str, Any]:
    """The workload, scaled to zero: a start is a step of its own."""
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
    """The runtime's address for others in the cluster: its control port."""
    port = target.spec.control_port.port
    return {
        "metadata": naming.metadata(target, naming.workload(target.identity)),
        "spec": {
            "selector": _pod_labels(target),
            "ports": [{"name": "control", "port": port, "targetPort": port, "protocol": "TCP"}],
        },
    }


def serves(target: Target, service: dict[str, Any]) -> bool:
    """Whether a Service leads to the control port that the spec has now."""
    return [port.get("port") for port in service["spec"].get("ports") or ()] == [target.spec.control_port.port]


def claims(target: Target) -> list[dict[str, Any]]:
    """The volumes of the spec; they belong to the identity and outlive the Runtime."""
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
