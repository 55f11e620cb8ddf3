"""A real control plane without a node: etcd, kube-apiserver, kube-controller-manager, on free loopback ports.

Everything is below one folder. Nothing is shared with another one, so several can run at once.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from tests.cluster.certificates import Certificates
from tests.cluster.daemon import Daemon

READY_SECONDS = 60.0
SERVICE_NETWORK = "10.96.0"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
# Controllers for which there would have to be nodes; a written Node must stay as it was written.
CONTROLLERS = (
    "*,-node-lifecycle-controller,-node-ipam-controller,-node-route-controller,-cloud-node-lifecycle-controller"
)


class ControlPlane:
    """One control plane, a context manager. ``durable``: etcd waits for the disk, as it does in production."""

    def __init__(self, programs: Path, folder: Path, *, durable: bool = False) -> None:
        self._programs = programs
        self._folder = folder
        self._durable = durable
        self._daemons: dict[str, Daemon] = {}
        self._etcd, self._etcd_peer, api = free_ports(3)
        self._port = api
        self.url = f"https://127.0.0.1:{api}"
        self.kubeconfig = folder / "admin.kubeconfig"

    def __enter__(self) -> ControlPlane:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._certificates = Certificates(self._folder / "pki")
        with contextlib.ExitStack() as stack:
            stack.callback(self.stop)
            self._start()
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop all programs, the last one first."""
        for daemon in reversed(self._daemons.values()):
            daemon.stop()
        self._daemons.clear()

    def process_ids(self) -> dict[str, int]:
        """Process ids by program."""
        return {name: daemon.process_id for name, daemon in self._daemons.items()}

    def _start(self) -> None:
        signing, verifying = self._certificates.account_keys()
        self._run("etcd", *self._etcd_options())
        apiserver = self._run("kube-apiserver", *self._apiserver_options(signing, verifying))
        self._certificates.kubeconfig(self.kubeconfig, self.url, "admin", "system:masters")
        apiserver.wait_until(self._is_ready, READY_SECONDS)
        self._run("kube-controller-manager", *self._manager_options(signing))

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
        names = ("kubernetes", "kubernetes.default.svc", "localhost", "127.0.0.1", f"{SERVICE_NETWORK}.1")
        certificate, key = self._certificates.issue("apiserver", "kube-apiserver", hosts=names)
        return [
            *(f"--etcd-servers=http://127.0.0.1:{self._etcd}", f"--secure-port={self._port}"),
            # A loopback address may not be the endpoint of the Service kubernetes.
            *("--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"),
            *(f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}"),
            *(f"--client-ca-file={self._certificates.ca}", "--authorization-mode=Node,RBAC"),
            "--service-account-issuer=https://kubernetes.default.svc",
            *(f"--service-account-signing-key-file={signing}", f"--service-account-key-file={verifying}"),
            *(f"--service-cluster-ip-range={SERVICE_NETWORK}.0/24", "--allow-privileged=true", "--v=1"),
        ]

    def _manager_options(self, signing: Path) -> list[str]:
        user = self._certificates.kubeconfig(
            self._folder / "manager.kubeconfig", self.url, "system:kube-controller-manager", "system:masters"
        )
        return [
            *(f"--kubeconfig={user}", f"--authentication-kubeconfig={user}", f"--authorization-kubeconfig={user}"),
            *(f"--root-ca-file={self._certificates.ca}", f"--service-account-private-key-file={signing}"),
            *(f"--controllers={CONTROLLERS}", "--leader-elect=false", "--secure-port=0", "--v=1"),
        ]

    def _is_ready(self) -> bool:
        certificate = self.kubeconfig.parent / "pki" / f"{self.kubeconfig.stem}.crt"
        context = ssl.create_default_context(cafile=str(self._certificates.ca))
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5, context=context) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
