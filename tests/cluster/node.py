"""A real node on this machine: containerd, kubelet and kube-proxy in their own network, mount and UTS namespaces."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.cluster import node_configuration
from tests.cluster.control_plane import SERVICE_NETWORK, ControlPlane
from tests.cluster.daemon import Daemon
from tests.cluster.node_network import NodeNetwork, enter, inside
from tests.support import engine_traces
from tests.support.command import run

READY_SECONDS = 120.0
PLUGINS = Path("/usr/lib/cni")
PROGRAMS = ("kubelet", "kube-proxy")
_NAMESPACES = "net,mount,uts"
_CGROUPS = Path("/sys/fs/cgroup")


class Node:
    """One node, named ``node1`` and so on; all its files are in its own folder below ``root``.

    Its cgroup has the folder's name, so that engine_traces finds all of its processes.
    """

    def __init__(self, number: int, root: Path, programs: Path, control_plane: ControlPlane, network: NodeNetwork):
        self.name = f"node{number}"
        self.number = number
        self.address = network.address(number)
        self._root = root
        self._programs = programs
        self._control_plane = control_plane
        self._network = network
        self._daemons: dict[str, Daemon] = {}
        self._layout = self._make_layout()

    @property
    def enter(self) -> list[str]:
        """The prefix of a command line that runs a program on the node."""
        return enter(_NAMESPACES, self._holder.process_id)

    def run(self, *command: str) -> str:
        """Run a command on the node and return its output. Raises CommandFailed."""
        return inside(_NAMESPACES, self._holder.process_id, *command)

    def start(self) -> None:
        """Start its namespaces and containerd; ``join`` makes it a node of the cluster."""
        self._prepare()
        folder, name = self._layout.folder, self.name
        (folder / "ready").unlink(missing_ok=True)
        holder = [str(Path(__file__).with_name("node_namespaces.sh")), str(folder), name]
        self._holder = Daemon("namespaces", folder, ["unshare", "--net", "--mount", "--uts", *holder])
        self._holder.wait_until((folder / "ready").exists, READY_SECONDS)
        self._network.connect(self.number, self._holder.process_id, f"{SERVICE_NETWORK}.0/24")
        containerd = self._daemon("containerd", "containerd", f"--config={folder}/containerd.toml")
        containerd.wait_until(lambda: run(*self._ctr("version"), check=False).returncode == 0, READY_SECONDS)

    def join(self) -> None:
        """Start kubelet and kube-proxy."""
        folder = self._layout.folder
        own = [f"--config={folder}/kubelet.yaml", f"--kubeconfig={folder}/kubelet.kubeconfig"]
        named = [f"--hostname-override={self.name}", f"--node-ip={self.address}"]
        self._daemon("kubelet", str(self._programs / "kubelet"), *own, *named, "--v=2")
        self._daemon("kube-proxy", str(self._programs / "kube-proxy"), f"--config={folder}/kube-proxy.yaml", "--v=1")

    def load(self, archive: Path) -> None:
        """Import the images of a docker-archive."""
        run(*self._ctr("images", "import", str(archive)), timeout=120)

    def set_cable(self, *, plugged: bool) -> None:
        """Disconnect the node from the network, while its pods keep running; or connect it again."""
        self._network.set_cable(self.number, plugged=plugged)

    def power_off(self) -> None:
        """Kill everything on the node at once, like a power cut; its files stay."""
        engine_traces.kill(self._layout.folder)
        self._daemons.clear()

    def power_on(self) -> None:
        """Start the node again, with its files."""
        self.start()
        self.join()

    def _daemon(self, name: str, *command: str) -> Daemon:
        self._daemons[name] = Daemon(name, self._layout.folder, [*self.enter, *command])
        return self._daemons[name]

    def _ctr(self, *arguments: str) -> list[str]:
        return [*self.enter, "ctr", f"--address={self._layout.socket}", "--namespace=k8s.io", *arguments]

    def _make_layout(self) -> node_configuration.Layout:
        folder = self._root / f"{self._root.name}-{self.name}"
        folder.mkdir(parents=True, exist_ok=True)
        certificates = self._control_plane.certificates
        hosts = (self.name, self.address)
        pair = certificates.issue(self.name, f"system:node:{self.name}", "system:nodes", hosts=hosts)
        return node_configuration.Layout(
            name=self.name,
            folder=folder,
            certificates=(certificates.ca, *pair),
            cgroup=f"/{folder.name}",
            pods=str(self._network.pods_of(self.number)),
            all_pods=str(self._network.pods),
        )

    def _prepare(self) -> None:
        """Create the files and cgroups that its programs expect."""
        layout, certificates = self._layout, self._control_plane.certificates
        url, folder = self._control_plane.url, self._layout.folder
        certificates.kubeconfig(folder / "kubelet.kubeconfig", url, f"system:node:{self.name}", "system:nodes")
        proxy = certificates.kubeconfig(folder / "proxy.kubeconfig", url, "system:kube-proxy", "")
        networks, plugins = folder / "mounts/etc/cni/net.d", folder / "mounts/opt/cni/bin"
        for made in (networks, plugins):
            made.mkdir(parents=True, exist_ok=True)
        shutil.copytree(PLUGINS, plugins, dirs_exist_ok=True)
        for path, text in {
            folder / "kubelet.yaml": node_configuration.kubelet(layout),
            folder / "kube-proxy.yaml": node_configuration.kube_proxy(layout, proxy),
            folder / "containerd.toml": node_configuration.containerd(layout),
            networks / "10-pods.conflist": node_configuration.pod_network(layout),
        }.items():
            path.write_text(text)
        for group in self._cgroups():
            _make_cgroup(group)

    def _cgroups(self) -> list[Path]:
        """The node's cgroup: one on v2, one in each hierarchy on v1."""
        whole = (_CGROUPS / "cgroup.controllers").exists()
        hierarchies = [_CGROUPS] if whole else [one for one in _CGROUPS.iterdir() if (one / "tasks").exists()]
        return [hierarchy / self._layout.cgroup.lstrip("/") for hierarchy in hierarchies]


def _make_cgroup(group: Path) -> None:
    """Create the cgroup; on v1 a new cpuset is empty, so copy its parent's values."""
    group.mkdir(exist_ok=True)
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (group.parent / name).exists():
            (group / name).write_text((group.parent / name).read_text())
