"""The cluster that other tests use behaves like users' clusters."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import nodes
from tests.support import image
from tests.support.command import run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

IMAGE = f"{image.REPOSITORY}:1"
PORT = 8080


@pytest.fixture
def pods(cluster: nodes.Cluster) -> Iterator[dict[str, dict[str, Any]]]:
    """A Ready pod on each node, by node, and the Service ``web`` over both."""
    cluster.apply(*(_pod(node.name) for node in cluster.nodes), _service())
    for node in cluster.nodes:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{node.name}", "--timeout=90s")
    yield {node.name: json.loads(cluster.kubectl("get", "pod", node.name, "-o", "json")) for node in cluster.nodes}
    cluster.kubectl("delete", "service/web", *(f"pod/{node.name}" for node in cluster.nodes), "--grace-period=1")


def test_pods_run_on_both_nodes_and_reach_each_other(cluster: nodes.Cluster, pods: dict[str, dict[str, Any]]) -> None:
    for name, other in (("node1", "node2"), ("node2", "node1")):
        assert pods[name]["spec"]["nodeName"] == name
        assert _version(cluster, name, pods[other]["status"]["podIP"], PORT) == "1"


def test_pods_reach_a_service(cluster: nodes.Cluster, pods: dict[str, dict[str, Any]]) -> None:
    address = cluster.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")

    assert {_version(cluster, name, address, 80) for name in pods} == {"1"}


def test_pods_reach_the_api_by_its_service(cluster: nodes.Cluster, pods: dict[str, dict[str, Any]]) -> None:
    # nc exits with status 0 if it could connect.
    for name in pods:
        cluster.kubectl("exec", name, "--", "/bin/sh", "-c", "nc -w 10 $KUBERNETES_SERVICE_HOST 443 </dev/null")


def test_this_machine_reaches_pods(cluster: nodes.Cluster, pods: dict[str, dict[str, Any]]) -> None:
    for pod in pods.values():
        request = "printf 'GET /api/status HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 10 $0 $1"
        assert '"running"' in run("sh", "-c", request, pod["status"]["podIP"], str(PORT)).stdout


def test_kubectl_reads_logs_from_the_nodes(cluster: nodes.Cluster, pods: dict[str, dict[str, Any]]) -> None:
    for name in pods:
        assert cluster.kubectl("logs", name).startswith("control server ready\n")


def test_a_disconnected_node_is_not_ready_and_comes_back_with_its_pods(
    cluster: nodes.Cluster, pods: dict[str, dict[str, Any]]
) -> None:
    cut = cluster.nodes[1]
    cut.set_cable(plugged=False)
    try:
        cluster.kubectl("wait", "--for=condition=Ready=Unknown", f"node/{cut.name}", "--timeout=120s")
    finally:
        cut.set_cable(plugged=True)
    cluster.kubectl("wait", "--for=condition=Ready", f"node/{cut.name}", "--timeout=120s")
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{cut.name}", "--timeout=120s")

    pod = json.loads(cluster.kubectl("get", "pod", cut.name, "-o", "json"))
    assert pod["status"]["containerStatuses"] == pods[cut.name]["status"]["containerStatuses"]


def test_a_node_restarts_its_pods_after_a_power_cut(cluster: nodes.Cluster, pods: dict[str, dict[str, Any]]) -> None:
    dead = cluster.nodes[0]
    dead.power_off()
    cluster.kubectl("wait", "--for=condition=Ready=Unknown", f"node/{dead.name}", "--timeout=120s")
    dead.power_on()
    cluster.kubectl("wait", "--for=condition=Ready", f"node/{dead.name}", "--timeout=120s")
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{dead.name}", "--timeout=120s")

    assert cluster.kubectl("get", "pod", dead.name, "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "1"


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.cluster", "nodes", str(tmp_path)]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert killed.stdout is not None
    assert killed.stdout.readline().strip() == str(tmp_path / "admin.kubeconfig")
    killed.kill()
    killed.wait()

    left = nodes.traces(killed.pid)
    nodes.remove_orphans()

    assert left
    assert nodes.traces(killed.pid) == []


def _version(cluster: nodes.Cluster, pod: str, address: str, port: int) -> str:
    """The version that the control server at this address returns to a request from a pod."""
    request = "printf 'GET /api/status HTTP/1.0\\r\\n\\r\\n' | nc -w 10 $0 $1 | tail -n 1"
    # A Service works on a node only a moment after its pods are Ready, so try several times.
    retrying = f'for i in 1 2 3 4 5 6 7 8 9 10; do a=$({request}); test -n "$a" && break; sleep 1; done; echo $a'
    answer = cluster.kubectl("exec", pod, "--", "/bin/sh", "-c", retrying, address, str(port))
    return str(json.loads(answer)["version"])


def _pod(node: str) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/api/status", "port": PORT}, "periodSeconds": 1}
    container = {"name": "runtime", "image": IMAGE, "imagePullPolicy": "Never", "readinessProbe": probe}
    spec = {"nodeSelector": {"kubernetes.io/hostname": node}, "containers": [container]}
    metadata = {"name": node, "labels": {"app": "web"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _service() -> dict[str, Any]:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}
