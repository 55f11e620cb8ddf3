"""The chart as users install it: the Dockerfile's image, deployed by helm on nodes with a kubelet."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller import names
from tests.cluster import nodes, programs
from tests.helm.chart import CHART, Helm
from tests.support import controller_image
from tests.support.certificates import Authority
from tests.support.dockerd import Engine

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NAMESPACE = "plant"
RELEASE = "edge-controller"
README = Path(__file__).parents[2] / "README.md"
UNINSTALL = "helm uninstall edge-controller -n edge"
REPOSITORY, _, TAG = controller_image.REFERENCE.rpartition(":")


@pytest.fixture
def helm(cluster: nodes.Cluster, engine: Engine, tmp_path: Path) -> Iterator[Helm]:
    """helm on the cluster, whose nodes have the image; the release is removed afterwards."""
    archive = tmp_path / "controller.tar"
    with contextlib.closing(engine.client(timeout=300)) as client, archive.open("wb") as file:
        file.writelines(controller_image.build(client).save(named=True))
    for node in cluster.nodes:
        node.load(archive)
    helm = Helm(programs.build("helm") / "helm", tmp_path / "helm", cluster.kubeconfig)
    try:
        yield helm
    finally:
        _print_table(cluster)
        helm.run("uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found", "--wait", "--timeout=2m")
        cluster.kubectl("delete", "runtimes,edgenodes", "--all", "--all-namespaces", "--timeout=60s")
        cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s")


def _print_table(cluster: nodes.Cluster) -> None:
    """Print pods and logs for the report of a failed test."""
    print(cluster.kubectl("get", "pods,daemonsets", "-n", NAMESPACE, "-o", "wide"))
    print(cluster.kubectl("logs", "-n", NAMESPACE, "-l", f"app.kubernetes.io/instance={RELEASE}", "--tail=20"))


def install(helm: Helm, tmp_path: Path, *options: str) -> str:
    """Install or upgrade the release."""
    command = ("upgrade", "--install", RELEASE, str(CHART), "-n", NAMESPACE, "--create-namespace", "--wait")
    return helm.run(*command, "--timeout=3m", *here(tmp_path), *options)


def here(tmp_path: Path) -> list[str]:
    """Options for the test's cluster: the image, and no cloud. Its CRDs exist already, and its nodes share a disk and
    have no Docker, so there is only one agent, with its own folders.
    """
    (tmp_path / "run").mkdir(exist_ok=True)
    return [
        *("--take-ownership", f"--set=image.repository={REPOSITORY}", f"--set-string=image.tag={TAG}"),
        *("--set=cloud.url=", f"--set=node.stateDirectory={tmp_path}/state"),
        f"--set=node.dockerSocket={tmp_path}/run/docker.sock",
        r"--set=node.nodeSelector.kubernetes\.io/hostname=node1",
    ]


def runtime(cluster: nodes.Cluster, name: str) -> dict[str, Any]:
    """Get a Runtime."""
    found: dict[str, Any] = json.loads(cluster.kubectl("get", "runtime", name, "-n", NAMESPACE, "-o", "json"))
    return found


def create(cluster: nodes.Cluster, name: str, **fields: Any) -> None:
    """Create a Runtime for Docker on the agent's node, and wait until its operator has added the finalizer."""
    spec = {"deviceId": name, "image": "registry.test/plc", "backend": "Docker", "nodeName": "node1", **fields}
    metadata = {"name": name, "namespace": NAMESPACE}
    cluster.apply({"apiVersion": names.API_VERSION, "kind": "Runtime", "metadata": metadata, "spec": spec})
    held = "jsonpath={.metadata.finalizers[0]}"
    cluster.kubectl("wait", f"runtime/{name}", "-n", NAMESPACE, f"--for={held}={names.FINALIZER}", "--timeout=90s")


def ready(cluster: nodes.Cluster, name: str) -> None:
    """Wait until the Runtime is Ready."""
    cluster.kubectl("wait", f"runtime/{name}", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=90s")


def test_a_release_is_installed_tested_upgraded_and_uninstalled_without_its_runtimes(
    cluster: nodes.Cluster, helm: Helm, tmp_path: Path
) -> None:
    install(helm, tmp_path)
    cluster.kubectl("wait", "--for=create", "edgenode/node1", "--timeout=60s")
    helm.run("test", RELEASE, "-n", NAMESPACE, "--timeout=3m")
    create(cluster, "plc-1")
    cluster.kubectl("wait", "runtime/plc-1", "-n", NAMESPACE, "--for=condition=Reconciling", "--timeout=90s")
    before = runtime(cluster, "plc-1")

    install(helm, tmp_path, "--set=settings.EDGE_LOG_LEVEL=debug")
    assert runtime(cluster, "plc-1")["spec"] == before["spec"]

    helm.run("uninstall", RELEASE, "-n", NAMESPACE, "--timeout=4m")
    after = runtime(cluster, "plc-1")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert names.FINALIZER not in after["metadata"].get("finalizers", [])
    left = "all,serviceaccounts,roles,rolebindings,jobs"
    listed = cluster.kubectl("get", left, "-n", NAMESPACE, "-l", f"app.kubernetes.io/instance={RELEASE}", "-o", "name")
    assert listed == ""
    assert RELEASE not in cluster.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")

    install(helm, tmp_path)
    held = "jsonpath={.metadata.finalizers[0]}"
    cluster.kubectl("wait", "runtime/plc-1", "-n", NAMESPACE, f"--for={held}={names.FINALIZER}", "--timeout=90s")


def test_a_release_works_in_a_namespace_whose_quota_demands_limits(
    cluster: nodes.Cluster, helm: Helm, tmp_path: Path
) -> None:
    resources = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
    hard = {name: "8" if name.endswith("cpu") else "8Gi" for name in resources}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all", "namespace": NAMESPACE}}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    cluster.apply(namespace, {**quota, "spec": {"hard": hard}})
    own = [f"--set={workload}.resources.limits.cpu=500m" for workload in ("controller", "node")]
    install(helm, tmp_path, *own)
    cluster.kubectl("wait", "--for=create", "edgenode/node1", "--timeout=60s")
    helm.run("test", RELEASE, "-n", NAMESPACE, "--timeout=3m")
    create(cluster, "plc-1")

    helm.run("uninstall", RELEASE, "-n", NAMESPACE, "--timeout=4m")
    assert names.FINALIZER not in runtime(cluster, "plc-1")["metadata"].get("finalizers", [])


def test_an_uninstall_says_what_it_could_not_clean_up(cluster: nodes.Cluster, helm: Helm, tmp_path: Path) -> None:
    install(helm, tmp_path, "--set=purge=true", "--set=cleanup.seconds=60")
    metadata = {"name": "held", "namespace": NAMESPACE, "finalizers": ["example.com/other"]}
    spec = {"deviceId": "held", "image": "registry.test/plc", "backend": "Docker", "nodeName": "elsewhere"}
    cluster.apply({"apiVersion": names.API_VERSION, "kind": "Runtime", "metadata": metadata, "spec": spec})
    try:
        said = helm.run("uninstall", RELEASE, "-n", NAMESPACE, "--timeout=2m", fails=True)
        assert "Runtimes are not gone after 40 s: held" in said
    finally:
        released = json.dumps({"metadata": {"finalizers": None}})
        cluster.kubectl("patch", "runtime", "held", "-n", NAMESPACE, "--type=merge", "-p", released)


def test_a_purge_deletes_the_runtimes_first(cluster: nodes.Cluster, helm: Helm, tmp_path: Path) -> None:
    install(helm, tmp_path, "--set=node.enabled=true")
    metadata = {"name": "unplaced", "namespace": NAMESPACE}
    spec = {"deviceId": "unplaced", "image": "registry.test/plc", "backend": "Docker", "nodeName": "elsewhere"}
    cluster.apply({"apiVersion": names.API_VERSION, "kind": "Runtime", "metadata": metadata, "spec": spec})
    install(helm, tmp_path, "--set=purge=true")
    helm.run("uninstall", RELEASE, "-n", NAMESPACE, "--timeout=4m")
    assert cluster.kubectl("get", "runtimes", "-n", NAMESPACE, "-o", "name") == ""


def test_a_rolling_upgrade_of_the_agents_restarts_no_runtime(
    cluster: nodes.Cluster, helm: Helm, tmp_path: Path, engine: Engine, runtime_image: str
) -> None:
    socket = f"--set=node.dockerSocket={engine.url.removeprefix('unix://')}"
    install(helm, tmp_path, socket)
    create(cluster, "plc-1", image=runtime_image, version="1")
    ready(cluster, "plc-1")
    agent, started = agent_of(cluster), started_at(engine, "plc-1")

    install(helm, tmp_path, socket, "--set=settings.EDGE_LOG_LEVEL=debug")
    cluster.kubectl("rollout", "status", f"daemonset/{RELEASE}-node", "-n", NAMESPACE, "--timeout=120s")
    limits = '{"spec":{"resources":{"memory":"128Mi"}}}'
    cluster.kubectl("patch", "runtime", "plc-1", "-n", NAMESPACE, "--type=merge", "-p", limits)
    applied = "--for=jsonpath={.status.appliedGeneration}=2"
    cluster.kubectl("wait", "runtime/plc-1", "-n", NAMESPACE, applied, "--timeout=90s")

    assert agent_of(cluster) != agent
    assert started_at(engine, "plc-1") == started
    assert runtime(cluster, "plc-1")["status"].get("restartCount", 0) == 0
    cluster.kubectl("delete", "runtime", "plc-1", "-n", NAMESPACE, "--timeout=90s")


def agent_of(cluster: nodes.Cluster) -> str:
    """The uid of the current agent's pod."""
    chosen = ("-l", "app.kubernetes.io/component=node", "-o", "jsonpath={.items[*].metadata.uid}")
    return cluster.kubectl("get", "pods", "-n", NAMESPACE, *chosen)


def started_at(engine: Engine, name: str) -> str:
    """The start time of the container."""
    with contextlib.closing(engine.client()) as client:
        return str(client.api.inspect_container(name)["State"]["StartedAt"])


def test_of_two_replicas_one_leads(cluster: nodes.Cluster, helm: Helm, tmp_path: Path) -> None:
    install(helm, tmp_path)
    deployment = json.loads(cluster.kubectl("get", "deployment", RELEASE, "-n", NAMESPACE, "-o", "json"))
    assert deployment["status"]["readyReplicas"] == 2
    cluster.kubectl("wait", "--for=create", "lease/edge-controller", "-n", NAMESPACE, "--timeout=60s")
    pods = cluster.kubectl("get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=controller", "-o",
                           "jsonpath={.items[*].metadata.name}").split()  # fmt: skip
    holder = "jsonpath={.spec.holderIdentity}"
    leader = cluster.kubectl("get", "lease", "edge-controller", "-n", NAMESPACE, "-o", holder)
    assert [pod for pod in pods if leader.startswith(pod)]


def test_an_agent_that_shares_its_mounts_runs_on_a_real_node(
    cluster: nodes.Cluster, helm: Helm, tmp_path: Path
) -> None:
    install(helm, tmp_path, "--set=node.shareMounts=true")
    cluster.kubectl("wait", "--for=create", "edgenode/node1", "--timeout=60s")
    pod = cluster.kubectl("get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=node", "-o",
                          "jsonpath={.items[0].metadata.name}")  # fmt: skip
    mounts = cluster.kubectl("exec", "-n", NAMESPACE, pod, "--", "cat", "/proc/self/mountinfo")
    (state,) = [line.split() for line in mounts.splitlines() if line.split()[4] == "/var/lib/edge-controller"]
    assert [field for field in state if field.startswith("shared:")]


def test_the_commands_of_the_readme_work(
    cluster: nodes.Cluster, helm: Helm, tmp_path: Path, certificates: Authority
) -> None:
    pair = certificates.agent("edge-1")
    put = {"client.crt": pair.certificate, "client.key": pair.key, "helm/edge-controller": CHART}
    for command in commands_of_the_readme():
        program, *arguments = re.sub(r"(?<=[ =])[\w./-]+", lambda word: str(put.get(word[0], word[0])), command).split()
        if program == "kubectl":
            cluster.kubectl(*arguments)
        else:
            helm.run(*arguments, *(here(tmp_path) if arguments[0] in ("install", "upgrade") else []))

    assert cluster.kubectl("get", "runtimes", "--all-namespaces", "-o", "name") == ""
    assert "edge-controller" not in helm.run("list", "--all-namespaces", "--short")


def commands_of_the_readme() -> list[str]:
    """The commands of the section on clusters, in order; the uninstall only once, at the end."""
    section = README.read_text().partition("## Install in a cluster")[2].partition("\nWithout Helm")[0]
    found = re.findall(r"^((?:helm|kubectl) .+)$|`(helm .+?)`", section, re.MULTILINE)
    commands = [fenced or inline for fenced, inline in found]
    return [command for command in commands if command != UNINSTALL] + [UNINSTALL]
