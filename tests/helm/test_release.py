"""A release on a real API server: what it sends is taken, what an uninstall leaves, what comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from controller import names
from tests.helm.chart import NAMESPACE, RELEASE, Objects
from tests.helm.cluster import Cluster
from tests.helm.test_templates import DEFAULTS, SWITCHES

# Kinds of others' that this cluster does not have.
FOREIGN = {"Certificate", "ServiceMonitor"}


def runtime(name: str) -> dict[str, Any]:
    """A Runtime as a node's operator holds it."""
    metadata = {"name": name, "namespace": NAMESPACE, "finalizers": [names.FINALIZER, "example.com/other"]}
    spec = {"deviceId": name, "image": "registry.test/plc"}
    return {"apiVersion": names.API_VERSION, "kind": "Runtime", "metadata": metadata, "spec": spec}


def finalizers(cluster: Cluster) -> dict[str, list[str]]:
    """The finalizers of each Runtime."""
    return {
        item["metadata"]["name"]: item["metadata"].get("finalizers", []) for item in cluster.get("runtimes")["items"]
    }


RENDERED = [{}, {"node.shareMounts": True}, *(values for values, _, _ in (*SWITCHES, *DEFAULTS))]


@pytest.mark.parametrize("values", RENDERED, ids=json.dumps)
def test_the_api_server_takes_what_the_chart_renders(cluster: Cluster, values: dict[str, Any]) -> None:
    found: Objects = cluster.helm.render(values)
    ours = [each for each in found.all if each["kind"] not in FOREIGN]
    # A Pod is refused without its account, which a dry run does not make.
    cluster.kubectl("apply", "-f", "-", stdin=found.one("ServiceAccount", "edge-controller-test"))
    said = cluster.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(ours, sort_keys=False)
    )
    assert len(said.splitlines()) == len(ours)


def test_a_release_is_installed_and_says_what_to_do_next(cluster: Cluster) -> None:
    said = cluster.install()
    assert "create secret tls edge-controller-client" in said
    assert "helm -n edge test edge-controller" in said
    cluster.kubectl("wait", "--for=condition=Established", "crd/runtimes.getedge.me", "--timeout=30s")
    assert cluster.get("deployment", RELEASE)["spec"]["replicas"] == 2


def test_an_upgrade_brings_the_kinds_along(cluster: Cluster) -> None:
    cluster.install()
    column = [{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns"}]
    cluster.kubectl("patch", "crd", "runtimes.getedge.me", "--type=json", "-p", json.dumps(column))
    cluster.install("--set=crds.install=true", "--force")
    assert "additionalPrinterColumns" in cluster.get("crd", "runtimes.getedge.me")["spec"]["versions"][0]


def test_an_uninstall_keeps_runtimes_and_a_reinstall_adopts_the_kinds(cluster: Cluster) -> None:
    cluster.install()
    cluster.kubectl("create", "-f", "-", stdin=runtime("kept"))
    uid = cluster.get("runtime", "kept")["metadata"]["uid"]
    cluster.helm.run("uninstall", RELEASE, "-n", NAMESPACE, "--no-hooks", "--wait")
    assert cluster.get("runtime", "kept")["metadata"]["uid"] == uid
    assert cluster.kubectl("get", "clusterrole,clusterrolebinding", "-l", "app.kubernetes.io/instance=edge-controller",
                           "-A", "-o", "name") == ""  # fmt: skip
    cluster.install()
    assert cluster.get("runtime", "kept")["metadata"]["uid"] == uid


def test_after_an_uninstall_nothing_waits_for_the_controller(cluster: Cluster) -> None:
    cluster.install()
    cluster.kubectl("apply", "-f", "-", stdin=runtime("held"))
    said = cluster.controller(
        _hook(cluster, "release"), "cluster", "release", "--release-namespace", NAMESPACE, "--release", "gone"
    )
    assert "Runtimes without the controller's finalizer" in said
    assert finalizers(cluster)["held"] == ["example.com/other"]


def test_finalizers_stay_while_a_pod_could_put_them_back(cluster: Cluster) -> None:
    cluster.install()
    pods = cluster.get("pods", "-l", "app.kubernetes.io/component in (controller,node)")["items"]
    assert pods
    cluster.kubectl("apply", "-f", "-", stdin=runtime("held"))
    kubeconfig = _hook(cluster, "release")
    waiting = cluster.start(kubeconfig, "cluster", "release", "--release-namespace", NAMESPACE, "--release", RELEASE)
    try:
        assert "waiting for the controller's pods" in waiting.line()
        assert names.FINALIZER in finalizers(cluster)["held"]
        cluster.kubectl("delete", "deployment,daemonset", "--all", "--wait=true")
        assert waiting.ended() == 0
        assert names.FINALIZER not in finalizers(cluster)["held"]
    finally:
        waiting.stop()


def test_a_purge_deletes_every_runtime_and_waits_for_its_end(cluster: Cluster) -> None:
    cluster.install("--set=purge=true")
    cluster.kubectl("apply", "-f", "-", stdin=runtime("doomed"))
    purging = cluster.start(_hook(cluster, "purge"), "cluster", "purge")
    try:
        assert "waiting for Runtimes to be deleted" in purging.line()
        for name in finalizers(cluster):
            cluster.kubectl("patch", "runtime", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        assert purging.ended() == 0
        assert finalizers(cluster) == {}
    finally:
        purging.stop()


def test_the_test_of_a_release_tells_what_is_missing(cluster: Cluster) -> None:
    cluster.install()
    _apply_hook_objects(cluster, "test")
    kubeconfig = cluster.account("edge-controller-test")
    assert "no node has published an EdgeNode" in cluster.controller(
        kubeconfig, "cluster", "status", "--nodes", fails=True
    )
    node = {"apiVersion": names.API_VERSION, "kind": "EdgeNode", "metadata": {"name": "box"}}
    cluster.kubectl("create", "-f", "-", stdin=node)
    _condition(cluster, "False", "DockerUnreachable", "no Docker")
    cluster.controller(kubeconfig, "cluster", "status", "--nodes")
    _condition(cluster, "False", "DockerUnreachable", "Docker does not answer", backends=["Docker"])
    said = cluster.controller(kubeconfig, "cluster", "status", "--nodes", fails=True)
    assert "node box: Ready is False: Docker does not answer" in said
    _condition(cluster, "True", "Serving", "")
    assert "the installation works" in cluster.controller(kubeconfig, "cluster", "status", "--nodes")
    said = cluster.controller(kubeconfig, "cluster", "status", f"--leader={NAMESPACE}", fails=True)
    assert "there is no leader" in said
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "edge-controller"}}
    cluster.kubectl("create", "-f", "-", stdin={**lease, "spec": {"holderIdentity": "one"}})
    cluster.controller(kubeconfig, "cluster", "status", "--nodes", f"--leader={NAMESPACE}")


def _condition(cluster: Cluster, status: str, reason: str, message: str, **fields: Any) -> None:
    condition = {"type": "Ready", "status": status, "reason": reason, "message": message,
                 "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
    patch = json.dumps({"status": {"conditions": [condition], **fields}})
    cluster.kubectl("patch", "edgenode", "box", "--subresource=status", "--type=merge", "-p", patch)


def _hook(cluster: Cluster, command: str) -> Any:
    """The kubeconfig of the account that the chart's Job for a command runs as."""
    _apply_hook_objects(cluster, "delete", purge=command == "purge")
    return cluster.account("edge-controller-cleanup")


def _apply_hook_objects(cluster: Cluster, event: str, *, purge: bool = False) -> None:
    """What helm makes before it runs the Job or Pod of a hook, but for that one."""
    found = cluster.helm.render({"purge": purge}).all
    hooks = [each for each in found if event in each["metadata"].get("annotations", {}).get("helm.sh/hook", "")]
    cluster.kubectl(
        "apply", "-f", "-", stdin=yaml.safe_dump_all([each for each in hooks if each["kind"] not in ("Job", "Pod")])
    )
