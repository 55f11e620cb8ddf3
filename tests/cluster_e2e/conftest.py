"""An installation of several processes on a real API without nodes; the cluster with nodes is in tests/conftest.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.console.server import Cloud
from tests.cluster import programs
from tests.cluster.control_plane import PROGRAMS, ControlPlane
from tests.support.cluster_site import ClusterSite
from tests.support.site import AGENT


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real API without nodes, for what needs no kubelet."""
    with ControlPlane(programs.build(*PROGRAMS, "kubectl"), tmp_path_factory.mktemp("control-plane")) as made:
        yield made


@pytest.fixture
async def cluster_site(tmp_path: Path, control_plane: ControlPlane, cloud: Cloud) -> AsyncIterator[ClusterSite]:
    """An installation on it, of which nothing runs yet."""
    kubectl = programs.build("kubectl") / "kubectl"
    site = ClusterSite(tmp_path, kubectl, control_plane.kubeconfig, cloud, await cloud.enroll(AGENT))
    await site.prepare()
    yield site
    await site.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What judges all other tests comes last."""
    items.sort(key=lambda item: item.path.name == "test_rights.py")
