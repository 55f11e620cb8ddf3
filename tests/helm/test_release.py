"""A release on a real API server: install, upgrade, uninstall and reinstall."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from controller import names
from tests.helm.chart import NAMESPACE, RELEASE, Objects
from tests.helm.cluster import Cluster
from tests.helm.test_templates import DEFAULTS, SWITCHES

# Kinds of other projects whose CRDs this cluster does not have.
FOREIGN = {"Certificate", "ServiceMonitor"}


def runtime(name: str) -> dict[str, Any]:
    """A Runtime with the finalizer of a node's operator."""
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
def test_the_api_server_accepts_the_rendered_chart(cluster: Cluster, values: dict[str, Any]) -> None:
    found: Objects = cluster.helm.render(values)
    ours = [each for each in found.all if each["kind"] not in FOREIGN]
    # A Pod is rejected without its ServiceAccount, which a dry run does not create.
    cluster.kubectl("apply", "-f", "-", stdin=found.one("ServiceAccount", "edge-controller-test"))
    output = cluster.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(ours, sort_keys=False)
    )
    assert len(output.splitlines()) == len(ours)


def test_an_install_prints_the_next_steps(cluster: Cluster) -> None:
    output = cluster.install()
    assert "create secret tls edge-controller-client" in output
    assert "helm -n edge test edge-controller" in output
    cluster.kubectl("wait", "--for=condition=Established", "crd/runtimes.getedge.me", "--timeout=30s")
    assert cluster.get("deployment", RELEASE)["spec"]["replicas"] == 2


def test_an_upgrade_upgrades_the_crds(cluster: Cluster) -> None:
    cluster.install()
    column = [{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns"}]
    cluster.kubectl("patch", "crd", "runtimes.getedge.me", "--type=json", "-p", json.dumps(column))
    cluster.install("--set=crds.install=true", "--force")
    assert "additionalPrinterColumns" in cluster.get("crd", "runtimes.getedge.me")["spec"]["versions"][0]


def test_an_uninstall_keeps_runtimes_and_a_reinstall_adopts_the_crds(cluster: Cluster) -> None:
    cluster.install()
    cluster.kubectl("create", "-f", "-", stdin=runtime("kept"))
    uid = cluster.get("runtime", "kept")["metadata"]["uid"]
    cluster.helm.run("uninstall", RELEASE, "-n", NAMESPACE, "--no-hooks", "--wait")
    assert cluster.get("runtime", "kept")["metadata"]["uid"] == uid
    assert cluster.kubectl("get", "clusterrole,clusterrolebinding", "-l", "app.kubernetes.io/instance=edge-controller",
                           "-A", "-o", "name") == ""  # fmt: skip
    cluster.install()
    assert cluster.get("runtime", "kept")["metadata"]["uid"] == uid


def test_after_an_uninstall_no_runtime_has_the_controllers_finalizer(cluster: Cluster) -> None:
    cluster.install()
    cluster.kubectl("apply", "-f", "-", stdin=runtime("held"))
    output = cluster.controller(
        _hook(cluster, "release"), "cluster", "release", "--release-namespace", NAMESPACE, "--release", "gone"
    )
    assert "Runtimes without the controller's finalizer" in output
    assert finalizers(cluster)["held"] == ["example.com/other"]


def test_finalizers_stay_while_a_pod_could_add_them_again(cluster: Cluster) -> None:
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
        assert waiting.wait() == 0
        assert names.FINALIZER not in finalizers(cluster)["held"]
    finally:
        waiting.stop()


def test_a_purge_deletes_every_runtime_and_waits_until_they_are_gone(cluster: Cluster) -> None:
    cluster.install("--set=purge=true")
    cluster.kubectl("apply", "-f", "-", stdin=runtime("doomed"))
    purging = cluster.start(_hook(cluster, "purge"), "cluster", "purge")
    try:
        assert "waiting for Runtimes to be deleted" in purging.line()
        for name in finalizers(cluster):
            cluster.kubectl("patch", "runtime", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        assert purging.wait() == 0
        assert finalizers(cluster) == {}
    finally:
        purging.stop()


def test_the_test_of_a_release_reports_what_is_missing(cluster: Cluster) -> None:
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
    output = cluster.controller(kubeconfig, "cluster", "status", "--nodes", fails=True)
    assert "node box: Ready is False: Docker does not answer" in output
    _condition(cluster, "True", "Serving", "")
    assert "the installation works" in cluster.controller(kubeconfig, "cluster", "status", "--nodes")
    output = cluster.controller(kubeconfig, "cluster", "status", f"--leader={NAMESPACE}", fails=True)
    assert "there is no leader" in output
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
    """Apply the objects that helm creates for a hook, except for its Job or Pod."""
    found = cluster.helm.render({"purge": purge}).all
    hooks = [each for each in found if event in each["metadata"].get("annotations", {}).get("helm.sh/hook", "")]
    cluster.kubectl(
        "apply", "-f", "-", stdin=yaml.safe_dump_all([each for each in hooks if each["kind"] not in ("Job", "Pod")])
    )
