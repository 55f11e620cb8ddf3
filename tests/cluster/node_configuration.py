"""The configuration files of one node's programs. Texts and dictionaries only; nothing is run or written here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAUSE_IMAGE = "localhost/pause:1"


@dataclass(frozen=True)
class Place:
    """Where one node's things are: its own folder, certificates (CA, certificate, key), cgroup and networks."""

    name: str
    folder: Path
    certificates: tuple[Path, Path, Path]
    cgroup: str
    pods: str  # this node's pods
    all_pods: str

    @property
    def socket(self) -> Path:
        """containerd's."""
        return self.folder / "containerd.sock"


def kubelet(place: Place) -> str:
    """KubeletConfiguration (kubelet.config.k8s.io/v1beta1)."""
    authority, certificate, key = map(str, place.certificates)
    return _document(
        "kubelet.config.k8s.io/v1beta1",
        "KubeletConfiguration",
        failCgroupV1=False,  # from 1.35 on the default is to refuse cgroup v1
        cgroupDriver="cgroupfs",
        cgroupRoot=place.cgroup,
        containerRuntimeEndpoint=f"unix://{place.socket}",
        authentication={
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": authority},
        },
        authorization={"mode": "Webhook"},
        tlsCertFile=certificate,
        tlsPrivateKeyFile=key,
        resolvConf="",  # no name service: nothing in the cluster needs one
        failSwapOn=False,
        # Without CAP_SYS_RESOURCE neither can be had.
        oomScoreAdj=0,
        maxOpenFiles=20000,
        makeIPTablesUtilChains=False,
        enforceNodeAllocatable=["pods"],
        evictionHard={"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # Imported images come from nowhere else: none is collected.
        imageGCHighThresholdPercent=100,
        imageGCLowThresholdPercent=99,
    )


def kube_proxy(place: Place, kubeconfig: Path) -> str:
    """KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), in nftables mode."""
    return _document(
        "kubeproxy.config.k8s.io/v1alpha1",
        "KubeProxyConfiguration",
        mode="nftables",
        hostnameOverride=place.name,
        clusterCIDR=place.all_pods,
        clientConnection={"kubeconfig": str(kubeconfig)},
        # Those kernel settings belong to the machine; 0 leaves them alone.
        conntrack={"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        nodePortAddresses=["primary"],
    )


def pod_network(place: Place) -> str:
    """The CNI network of the pods: a bridge with addresses of this node's range (CNI specification 1.0)."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": place.pods}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]})


def containerd(place: Place) -> str:
    """containerd's configuration, version 2, for containerd 1.6 and 1.7."""
    return f"""\
version = 2
root = "{place.folder}/containerd"
state = "{place.folder}/containerd-state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "{place.socket}"
[ttrpc]
  address = "{place.folder}/containerd.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE the -998 that a sandbox asks for cannot be set: it gets the nearest that can.
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
    """JSON is YAML."""
    return json.dumps({"apiVersion": api_version, "kind": kind, **fields}, indent=2)
