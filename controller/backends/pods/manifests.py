"""Builds the manifests of a runtime: StatefulSet with its pod template, Service, claims. Pure.

A StatefulSet instead of a Deployment, because its fixed pod name prevents a second pod while the first one exists.
OnDelete, because a changed template must not restart pods (decision 101).

The template's annotations record the spec and image it was built from, like a container's labels on Docker. The pod
inherits them, and the ControllerRevision keeps them for a rollback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller import names, quantities
from controller.api import runtimes
from controller.backends import base
from controller.backends.base import Target
from controller.backends.pods import multus, naming

VOLUME_SIZE = "1Gi"
CONTAINER = "runtime"
POD_PATH = "/spec/template/spec"  # in a StatefulSet (RFC 6901)
CONTAINER_PATH = f"{POD_PATH}/containers/0"
# A pod stays bound to an unreachable node, because it may still be running there.
_STAYS = [
    {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute"}
    for state in ("not-ready", "unreachable")
]
# Never 0, so that the pod's QoS class is the same with and without limits: a resize may not change the class.
_REQUESTS = {"cpu": "1m", "memory": "1Mi"}
READINESS_SECONDS = 5


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
            "template": template(target, image),
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
    # Only what identifies the runtime: the selector of a StatefulSet is immutable.
    found = naming.labels(target.identity)
    return {name: found[name] for name in (names.INSTALL_LABEL, names.DEVICE_LABEL)}


def template(target: Target, image: str) -> dict[str, Any]:
    """The template; ``image`` is the pin."""
    spec = target.spec
    return {
        "metadata": {"labels": naming.labels(target.identity), "annotations": _annotations(target, image)},
        "spec": {
            "containers": [_container(target, image)],
            "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
            "automountServiceAccountToken": False,
            # Otherwise each Service of the namespace adds variables to the program's environment.
            "enableServiceLinks": False,
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "imagePullSecrets": [{"name": secret.name} for secret in spec.image_pull_secrets],
            "tolerations": _STAYS,
            "volumes": [_volume(target, volume) for volume in spec.volumes],
            **_name_servers(spec),
            **_placement(spec),
        },
    }


def without_restart(spec: runtimes.RuntimeSpec) -> dict[str, Any]:
    """Changes that need no new pod and apply from the next start on: JSON pointers and their values."""
    changes = {f"{CONTAINER_PATH}/{name}": value for name, value in _control(spec).items()}
    return {**changes, f"{POD_PATH}/terminationGracePeriodSeconds": spec.termination_grace_period_seconds}


def limits(resources: runtimes.Resources) -> dict[str, str]:
    """The limits as quantities."""
    found = {"cpu": resources.cpu, "memory": resources.memory}
    return {name: value for name, value in found.items() if value}


def resources(desired: runtimes.Resources) -> dict[str, Any]:
    """``resources`` of the container (API reference: ResourceRequirements)."""
    given = limits(desired)
    return {"requests": _REQUESTS, **({"limits": given} if given else {})}


def limits_of(container: Mapping[str, Any]) -> runtimes.Resources:
    """The limits of a container in the API, in canonical units."""
    given = (container.get("resources") or {}).get("limits") or {}
    cpu, memory = quantities.nano_cpus(given.get("cpu")), quantities.memory_bytes(given.get("memory"))
    return runtimes.Resources(cpu=f"{cpu // 10**6}m" if cpu else None, memory=str(memory) if memory else None)


def _annotations(target: Target, image: str) -> dict[str, str]:
    return {
        **naming.identity_annotations(target.identity),
        **base.record(target, image, target.spec.image_reference),
        **multus.networks(target),
    }


def _container(target: Target, image: str) -> dict[str, Any]:
    spec = target.spec
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": spec.image_pull_policy,
        "env": [_variable(variable) for variable in spec.env],
        **_control(spec),
        "resources": resources(spec.resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            # Instead of the limits rtprio and memlock, which Kubernetes cannot set.
            **({"capabilities": {"add": ["IPC_LOCK", "SYS_NICE"]}} if spec.realtime.enabled else {}),
        },
        "volumeMounts": [
            {"name": volume.name, "mountPath": volume.mount_path, "readOnly": volume.read_only}
            for volume in spec.volumes
        ],
    }


def _variable(variable: runtimes.EnvVar) -> dict[str, Any]:
    """A variable (API reference: EnvVar); the kubelet reads the Secret."""
    if not variable.value_from:
        return {"name": variable.name, "value": variable.value}
    reference = variable.value_from.secret_key_ref
    optional = {"optional": True} if reference.optional else {}
    return {
        "name": variable.name,
        "valueFrom": {"secretKeyRef": {"name": reference.name, "key": reference.key, **optional}},
    }


def _control(spec: runtimes.RuntimeSpec) -> dict[str, Any]:
    port = spec.control_port.port
    return {
        "ports": [{"name": "control", "containerPort": port}],
        # No liveness probe: a program that does not answer may still control its plant.
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": READINESS_SECONDS},
    }


def _volume(target: Target, volume: runtimes.Volume) -> dict[str, Any]:
    return {
        "name": volume.name,
        "persistentVolumeClaim": {"claimName": naming.claim(target.identity, volume.name)},
    }


def _name_servers(spec: runtimes.RuntimeSpec) -> dict[str, Any]:
    """The plant's name servers if the spec has any, else the cluster's."""
    # The API refuses a pod with more than three name servers.
    servers = list(dict.fromkeys(server for interface in spec.interfaces for server in interface.dns))[:3]
    return {"dnsPolicy": "None", "dnsConfig": {"nameservers": servers}} if servers else {"dnsPolicy": "ClusterFirst"}


def _placement(spec: runtimes.RuntimeSpec) -> dict[str, Any]:
    if not spec.node_name:
        return {}
    # Not spec.nodeName, which bypasses the scheduler: a full node would reject the pod instead of making it wait.
    field = {"key": "metadata.name", "operator": "In", "values": [spec.node_name]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}
