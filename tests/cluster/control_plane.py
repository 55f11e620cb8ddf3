"""A real control plane: etcd, kube-apiserver, kube-controller-manager, and kube-scheduler where there are nodes.

All files are below one folder and all ports are free ones, so several control planes can run at once.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from tests.cluster.certificates import Certificates
from tests.cluster.daemon import Daemon
from tests.support.ports import free_port

READY_SECONDS = 60.0
SERVICE_NETWORK = "10.96.0"
LOOPBACK = "127.0.0.1"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
# Without the controllers that manage nodes: a Node that a test writes must not be changed.
CONTROLLERS = (
    "*,-node-lifecycle-controller,-node-ipam-controller,-node-route-controller,-cloud-node-lifecycle-controller"
)
NODE_GRACE_SECONDS = 20  # a silent node is NotReady after this
# The API server rejects a loopback address as the endpoint of the Service kubernetes.
_WITHOUT_NODES = ["--endpoint-reconciler-type=none"]


class ControlPlane:
    """One control plane, a context manager. With ``durable``, etcd syncs to disk, as in production.

    With ``limit_critical_pods``, pods have a priority class of the system only in namespaces with a quota for it.

    ``address`` is where the API listens. Nodes cannot reach the loopback address, so there are none; with any other
    address, the controllers for nodes and the scheduler run too. The file ``audit`` logs each request of a
    ServiceAccount.
    """

    def __init__(
        self,
        programs: Path,
        folder: Path,
        *,
        durable: bool = False,
        address: str = LOOPBACK,
        limit_critical_pods: bool = False,
    ) -> None:
        self._programs = programs
        self._folder = folder
        self._durable = durable
        self._address = address
        self._limit_critical_pods = limit_critical_pods
        self._has_nodes = address != LOOPBACK
        self._daemons: dict[str, Daemon] = {}
        self._etcd, self._etcd_peer, api = free_port(), free_port(), free_port()
        self._port = api
        self.url = f"https://{address}:{api}"
        self.kubeconfig = folder / "admin.kubeconfig"
        self.audit = folder / "audit.jsonl"

    def __enter__(self) -> ControlPlane:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.certificates = Certificates(self._folder / "pki")
        with contextlib.ExitStack() as stack:
            stack.callback(self.stop)
            self._start()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop all programs in reverse order."""
        for daemon in reversed(self._daemons.values()):
            daemon.stop()
        self._daemons.clear()

    def process_ids(self) -> dict[str, int]:
        """Process ids by program."""
        return {name: daemon.process_id for name, daemon in self._daemons.items()}

    def _start(self) -> None:
        signing, verifying = self.certificates.account_keys()
        self._run("etcd", *self._etcd_options())
        apiserver = self._run("kube-apiserver", *self._apiserver_options(signing, verifying))
        self.certificates.kubeconfig(self.kubeconfig, self.url, "admin", "system:masters")
        apiserver.wait_until(self._is_ready, READY_SECONDS)
        self._run("kube-controller-manager", *self._manager_options(signing))
        if self._has_nodes:
            self._run("kube-scheduler", *self._client_options("scheduler", "system:kube-scheduler"))

    def _run(self, program: str, *options: str) -> Daemon:
        self._daemons[program] = Daemon(program, self._folder, [str(self._programs / program), *options])
        return self._daemons[program]

    def _etcd_options(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{self._etcd_peer}"
        return [
            *("--name=one", f"--data-dir={self._folder / 'etcd'}", "--log-level=warn"),
            *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=one={peer}"),
            *([] if self._durable else ["--unsafe-no-fsync"]),
        ]

    def _apiserver_options(self, signing: Path, verifying: Path) -> list[str]:
        names = (
            "kubernetes",
            "kubernetes.default.svc",
            "localhost",
            *{LOOPBACK, self._address},
            f"{SERVICE_NETWORK}.1",
        )
        certificate, key = self.certificates.issue("apiserver", "kube-apiserver", hosts=names)
        return [
            *(f"--etcd-servers=http://127.0.0.1:{self._etcd}", f"--secure-port={self._port}"),
            *(f"--bind-address={self._address}", f"--advertise-address={self._address}"),
            *(self._kubelet_options() if self._has_nodes else _WITHOUT_NODES),
            *(f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}"),
            *(f"--client-ca-file={self.certificates.ca}", "--authorization-mode=Node,RBAC"),
            "--service-account-issuer=https://kubernetes.default.svc",
            *(f"--service-account-signing-key-file={signing}", f"--service-account-key-file={verifying}"),
            *([f"--admission-control-config-file={self._admission()}"] if self._limit_critical_pods else []),
            *(f"--audit-policy-file={self._audit_policy()}", f"--audit-log-path={self.audit}"),
            *(f"--service-cluster-ip-range={SERVICE_NETWORK}.0/24", "--allow-privileged=true", "--v=1"),
        ]

    def _admission(self) -> Path:
        """The documented configuration for limiting a priority class (Kubernetes documentation: Resource Quotas)."""
        classes = ["system-node-critical", "system-cluster-critical"]
        limited = {"scopeName": "PriorityClass", "operator": "In", "values": classes}
        version = {"apiVersion": "apiserver.config.k8s.io/v1"}
        quota = {**version, "kind": "ResourceQuotaConfiguration",
                 "limitedResources": [{"resource": "pods", "matchScopes": [limited]}]}  # fmt: skip
        plugins = [{"name": "ResourceQuota", "configuration": quota}]
        path = self._folder / "admission.json"
        path.write_text(json.dumps({**version, "kind": "AdmissionConfiguration", "plugins": plugins}))
        return path

    def _audit_policy(self) -> Path:
        accounts = {"level": "Metadata", "userGroups": ["system:serviceaccounts"], "omitStages": ["RequestReceived"]}
        policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [accounts, {"level": "None"}]}
        path = self._folder / "audit-policy.json"
        path.write_text(json.dumps(policy))
        return path

    def _kubelet_options(self) -> list[str]:
        """Options for reaching kubelets (logs, exec) and pods (webhooks), and for restricting kubelets' writes."""
        certificate, key = self.certificates.issue("kubelet-client", "kube-apiserver", "system:masters")
        return [
            *(f"--kubelet-client-certificate={certificate}", f"--kubelet-client-key={key}"),
            *(f"--kubelet-certificate-authority={self.certificates.ca}", "--enable-aggregator-routing=true"),
            *("--kubelet-preferred-address-types=InternalIP", "--enable-admission-plugins=NodeRestriction"),
        ]

    def _manager_options(self, signing: Path) -> list[str]:
        return [
            *self._client_options("manager", "system:kube-controller-manager"),
            *(f"--root-ca-file={self.certificates.ca}", f"--service-account-private-key-file={signing}"),
            f"--node-monitor-grace-period={NODE_GRACE_SECONDS}s" if self._has_nodes else f"--controllers={CONTROLLERS}",
        ]

    def _client_options(self, name: str, user: str) -> list[str]:
        path = self._folder / f"{name}.kubeconfig"
        file = self.certificates.kubeconfig(path, self.url, user, "system:masters")
        return [
            *(f"--kubeconfig={file}", f"--authentication-kubeconfig={file}", f"--authorization-kubeconfig={file}"),
            *("--leader-elect=false", "--secure-port=0", "--v=1"),
        ]

    def _is_ready(self) -> bool:
        certificate = self.kubeconfig.parent / "pki" / f"{self.kubeconfig.stem}.crt"
        context = ssl.create_default_context(cafile=str(self.certificates.ca))
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5, context=context) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
