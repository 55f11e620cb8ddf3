"""Read-only kinds of a full cluster, such as pods and deployments: served, but always empty.

Clients (k9s, Helm, ``kubectl get all``) list them whether they are used or not. A write is refused with the reason.
"""

from __future__ import annotations

from controller.apiserver.kinds.core import ALL
from controller.apiserver.kinds.resources import AGE, READ, Resource

# group/version, plural, kind, scope (n: namespaced), short names - as Kubernetes 1.35 serves them.
TABLE = """
v1 endpoints Endpoints n ep
v1 limitranges LimitRange n limits
v1 persistentvolumeclaims PersistentVolumeClaim n pvc
v1 persistentvolumes PersistentVolume c pv
v1 pods Pod n po
v1 podtemplates PodTemplate n
v1 replicationcontrollers ReplicationController n rc
v1 resourcequotas ResourceQuota n quota
admissionregistration.k8s.io/v1 mutatingwebhookconfigurations MutatingWebhookConfiguration c
admissionregistration.k8s.io/v1 validatingwebhookconfigurations ValidatingWebhookConfiguration c
apiregistration.k8s.io/v1 apiservices APIService c
apps/v1 controllerrevisions ControllerRevision n
apps/v1 daemonsets DaemonSet n ds
apps/v1 deployments Deployment n deploy
apps/v1 replicasets ReplicaSet n rs
apps/v1 statefulsets StatefulSet n sts
autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler n hpa
autoscaling/v1 horizontalpodautoscalers HorizontalPodAutoscaler n hpa
batch/v1 cronjobs CronJob n cj
batch/v1 jobs Job n
certificates.k8s.io/v1 certificatesigningrequests CertificateSigningRequest c csr
discovery.k8s.io/v1 endpointslices EndpointSlice n
networking.k8s.io/v1 ingressclasses IngressClass c
networking.k8s.io/v1 ingresses Ingress n ing
networking.k8s.io/v1 networkpolicies NetworkPolicy n netpol
node.k8s.io/v1 runtimeclasses RuntimeClass c
policy/v1 poddisruptionbudgets PodDisruptionBudget n pdb
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding c
rbac.authorization.k8s.io/v1 clusterroles ClusterRole c
rbac.authorization.k8s.io/v1 rolebindings RoleBinding n
rbac.authorization.k8s.io/v1 roles Role n
scheduling.k8s.io/v1 priorityclasses PriorityClass c pc
storage.k8s.io/v1 csidrivers CSIDriver c
storage.k8s.io/v1 csinodes CSINode c
storage.k8s.io/v1 csistoragecapacities CSIStorageCapacity n
storage.k8s.io/v1 storageclasses StorageClass c sc
storage.k8s.io/v1 volumeattachments VolumeAttachment c
"""
# Kinds of the category "all", for ``kubectl get all``.
IN_ALL = {
    "pods", "replicationcontrollers", "daemonsets", "deployments", "replicasets", "statefulsets",
    "horizontalpodautoscalers", "cronjobs", "jobs",
}  # fmt: skip


def resources() -> tuple[Resource, ...]:
    """The resources of the table."""
    return tuple(_resource(*line.split()) for line in TABLE.strip().splitlines())


def _resource(api_version: str, plural: str, kind: str, scope: str, *short_names: str) -> Resource:
    group, _, version = api_version.rpartition("/")
    return Resource(
        group, version, plural, kind, scope == "n", kind.lower(), short_names, ALL if plural in IN_ALL else (),
        columns=(AGE,), verbs=READ,
    )  # fmt: skip
