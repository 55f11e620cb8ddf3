"""The agents' pods start in clusters that limit the system's priority classes to namespaces with a quota for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import programs
from tests.cluster.control_plane import PROGRAMS, ControlPlane
from tests.helm.chart import NAMESPACE, Helm
from tests.helm.cluster import Cluster

SECONDS = 60


@pytest.fixture
def limited(tmp_path_factory: pytest.TempPathFactory, helm: Helm) -> Iterator[Cluster]:
    """A control plane with that limit."""
    binaries = programs.build(*PROGRAMS, "kubectl", "helm")
    folder = tmp_path_factory.mktemp("limited")
    with ControlPlane(binaries, folder / "control-plane", limit_critical_pods=True) as real:
        cluster = Cluster(binaries / "kubectl", real.kubeconfig, folder, helm._replace(kubeconfig=real.kubeconfig))
        cluster.kubectl("create", "namespace", NAMESPACE)
        cluster.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        yield cluster


def pod(name: str, priority_class: str) -> dict[str, Any]:
    """A pod of the agents' priority class."""
    spec = {"priorityClassName": priority_class, "containers": [{"name": "node", "image": "registry.test/agent"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def test_the_quota_of_the_chart_lets_the_agents_start(limited: Cluster) -> None:
    found = limited.helm.render()
    priority_class = found.one("DaemonSet")["spec"]["template"]["spec"]["priorityClassName"]
    refused = limited.kubectl("create", "-f", "-", stdin=pod("before", priority_class), fails=True)
    assert "insufficient quota to match these scopes" in refused

    limited.kubectl("apply", "-f", "-", stdin=found.one("ResourceQuota"))
    deadline = time.monotonic() + SECONDS
    # The quota counts once the quota controller has filled in its status.
    while not limited.get("resourcequota", "edge-controller-critical-pods").get("status", {}).get("hard"):
        assert time.monotonic() < deadline, "the quota has no status"
        time.sleep(0.2)
    limited.kubectl("create", "-f", "-", stdin=pod("after", priority_class))
