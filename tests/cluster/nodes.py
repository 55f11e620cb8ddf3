"""A complete cluster on this machine: a control plane and one or more real nodes. Leaves nothing behind.

Needs root, and Debian's containerd, runc, CNI plugins and nftables. The nodes' files are below a folder named after the
process that created it, so the next run finds and removes what a killed run has left.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.cluster import control_plane, node, node_configuration, programs
from tests.cluster.control_plane import ControlPlane
from tests.cluster.node import Node
from tests.cluster.node_network import NodeNetwork
from tests.support import engine_traces, image, image_files, ownership
from tests.support.command import CommandFailed, run

PREFIX = "ek"
PROGRAMS = (*control_plane.PROGRAMS, "kube-scheduler", *node.PROGRAMS, "kubectl")
_SETUP = Path(__file__).parents[2] / "scripts/apt.sh"
_PACKAGES = (f"{node.PLUGINS}:containernetworking-plugins", "nft:nftables", "containerd:containerd", "runc:runc")
_FOLDERS = Path(tempfile.gettempdir())
_READY_SECONDS = 120


def build() -> Path:
    """Install or build what is missing; return the folder with the programs. Raises programs.Unavailable."""
    if os.geteuid():
        raise programs.Unavailable("a cluster with nodes needs root to create namespaces and run containers")
    try:
        run(str(_SETUP), *_PACKAGES, timeout=300)
    except CommandFailed as error:
        raise programs.Unavailable(str(error)) from error
    return programs.build(*PROGRAMS)


class Cluster:
    """A cluster, a context manager: on entry all nodes are Ready; on exit only logs in ``folder`` are left."""

    def __init__(self, built: Path, folder: Path, count: int = 1) -> None:
        self._folder = folder
        self._count = count
        self._root = _FOLDERS / ownership.new_name(PREFIX)
        self._stack = ExitStack()
        self.programs = built
        self.kubeconfig = folder / "admin.kubeconfig"  # the administrator's
        self.nodes: list[Node] = []

    def __enter__(self) -> Cluster:
        remove_orphans()
        with self._stack:
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl as the administrator and return its output. Raises CommandFailed."""
        own = (str(self.programs / "kubectl"), f"--kubeconfig={self.kubeconfig}")
        return run(*own, *arguments, timeout=_READY_SECONDS + 30).stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        """Have these objects, applied on the server."""
        file = self._root / "objects.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        self.kubectl("apply", "--server-side", f"--filename={file}")

    def provide_volume(self, namespace: str, claim: str) -> None:
        """Create a volume for this claim, as there is no provisioner: a folder of whichever node the pod runs on."""
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": f"{namespace}-{claim}"},
                "spec": {
                    "capacity": {"storage": "1Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "claimRef": {"namespace": namespace, "name": claim},
                    "hostPath": {"path": f"/var/lib/kubelet/volumes/{namespace}-{claim}", "type": "DirectoryOrCreate"},
                },
            }
        )

    def load(self, images: list[image.Image]) -> None:
        """Import images on every node."""
        archive = self._root / "images.tar"
        archive.write_bytes(image.archive(images))
        for one in self.nodes:
            one.load(archive)

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._root.mkdir(mode=0o700)
        self._stack.callback(_remove, self._root)
        self.network = NodeNetwork(self._root.name, self._root)
        self._stack.callback(self._keep_logs)
        made = ControlPlane(self.programs, self._root / "control-plane", address=self.network.host_address)
        self.control_plane = self._stack.enter_context(made)
        shutil.copy2(made.kubeconfig, self.kubeconfig)
        # The nodes are killed before the control plane stops, which would otherwise wait for its clients on them.
        self._stack.callback(_kill_nodes, self._root)
        for number in range(1, self._count + 1):
            self.nodes.append(Node(number, self._root, self.programs, self.control_plane, self.network))
            self.nodes[-1].start()
        self.load([pause_image()])
        for one in self.nodes:
            one.join()
        for one in self.nodes:
            self._wait("create", f"node/{one.name}")
            self._wait("condition=Ready", f"node/{one.name}")
        # A namespace accepts no pods until its default ServiceAccount exists.
        self._wait("create", "serviceaccount/default")

    def _keep_logs(self) -> None:
        for log in self._root.glob("*/*.log"):
            shutil.copy2(log, self._folder / f"{log.parent.name.removeprefix(f'{self._root.name}-')}-{log.name}")

    def _wait(self, condition: str, what: str) -> None:
        self.kubectl("wait", f"--for={condition}", what, f"--timeout={_READY_SECONDS}s")


def pause_image() -> image.Image:
    """The image of the container that holds a pod's namespaces: it only sleeps."""
    return image.Image(
        node_configuration.PAUSE_IMAGE,
        image.Layer(image.tar(image_files.busybox())),
        {"Entrypoint": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"]},
    )


def remove_orphans() -> None:
    """Remove the clusters of killed runs."""
    for root in _FOLDERS.glob(f"{PREFIX}*"):
        if ownership.is_orphan(root.name, PREFIX):
            _remove(root)


def traces(maker: int | None = None) -> list[str]:
    """What the clusters of a process (by default this one) have left on the machine."""
    roots = [
        root for root in _FOLDERS.glob(f"{PREFIX}*") if ownership.owner(root.name, PREFIX) == (maker or os.getpid())
    ]
    return [trace for root in roots for folder in (*root.iterdir(), root) for trace in engine_traces.find(folder)]


def _remove(root: Path) -> None:
    """Remove a cluster: a node's namespaces, mounts and links disappear with its processes."""
    for folder in (*_node_folders(root), root):
        engine_traces.remove(folder)


def _kill_nodes(root: Path) -> None:
    for folder in _node_folders(root):
        engine_traces.kill(folder)


def _node_folders(root: Path) -> list[Path]:
    return list(root.glob(f"{root.name}-*"))
