"""The contents of the configuration files of a node's programs. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAUSE_IMAGE = "localhost/pause:1"


@dataclass(frozen=True)
class Layout:
    """A node's folder, certificates (CA, certificate, key), cgroup and networks."""

    name: str
    folder: Path
    certificates: tuple[Path, Path, Path]
    cgroup: str
    pods: str  # the network of this node's pods
    all_pods: str  # the network of all nodes' pods

    @property
    def socket(self) -> Path:
        """The socket of containerd."""
        return self.folder / "containerd.sock"


def kubelet(layout: Layout) -> str:
    """KubeletConfiguration (kubelet.config.k8s.io/v1beta1)."""
    authority, certificate, key = map(str, layout.certificates)
    return _document(
        "kubelet.config.k8s.io/v1beta1",
        "KubeletConfiguration",
        failCgroupV1=False,  # since 1.35 the kubelet refuses cgroup v1 by default
        cgroupDriver="cgroupfs",
        cgroupRoot=layout.cgroup,
        containerRuntimeEndpoint=f"unix://{layout.socket}",
        authentication={
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": authority},
        },
        authorization={"mode": "Webhook"},
        tlsCertFile=certificate,
        tlsPrivateKeyFile=key,
        resolvConf="",  # no DNS: nothing in the cluster needs it
        failSwapOn=False,
        # Other values need CAP_SYS_RESOURCE.
        oomScoreAdj=0,
        maxOpenFiles=20000,
        makeIPTablesUtilChains=False,
        enforceNodeAllocatable=["pods"],
        evictionHard={"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # Imported images cannot be pulled again, so none may be collected.
        imageGCHighThresholdPercent=100,
        imageGCLowThresholdPercent=99,
    )


def kube_proxy(layout: Layout, kubeconfig: Path) -> str:
    """KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), in nftables mode."""
    return _document(
        "kubeproxy.config.k8s.io/v1alpha1",
        "KubeProxyConfiguration",
        mode="nftables",
        hostnameOverride=layout.name,
        clusterCIDR=layout.all_pods,
        clientConnection={"kubeconfig": str(kubeconfig)},
        # These kernel settings are machine-wide; 0 leaves them unchanged.
        conntrack={"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        nodePortAddresses=["primary"],
    )


def pod_network(layout: Layout) -> str:
    """The CNI network of the pods: a bridge with addresses of this node's range (CNI specification 1.0)."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": layout.pods}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]})


def containerd(layout: Layout) -> str:
    """containerd's configuration, version 2, for containerd 1.6 and 1.7."""
    return f"""\
version = 2
root = "{layout.folder}/containerd"
state = "{layout.folder}/containerd-state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "{layout.socket}"
[ttrpc]
  address = "{layout.folder}/containerd.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE a sandbox's score of -998 cannot be set: use the nearest possible one.
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def _document(api_version: str, kind: str, **fields: Any) -> str:
    """A document as JSON, which is also YAML."""
    return json.dumps({"apiVersion": api_version, "kind": kind, **fields}, indent=2)
