"""helm and a real control plane, built from their modules; has the same requirements as ``make conformance``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import programs
from tests.cluster.control_plane import PROGRAMS, ControlPlane
from tests.helm.chart import NAMESPACE, Helm
from tests.helm.cluster import Cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests here: they need helm."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.helm)


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """helm without a cluster."""
    return Helm(programs.build("helm") / "helm", tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, helm: Helm) -> Iterator[Cluster]:
    """A control plane with RBAC and without nodes, one per test module."""
    binaries = programs.build(*PROGRAMS, "kubectl", "helm")
    folder = tmp_path_factory.mktemp("cluster")
    with ControlPlane(binaries, folder / "control-plane") as real:
        cluster = Cluster(binaries / "kubectl", real.kubeconfig, folder, helm._replace(kubeconfig=real.kubeconfig))
        cluster.kubectl("create", "namespace", NAMESPACE)
        yield cluster
