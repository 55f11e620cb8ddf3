"""Installations with several processes: on a real API without nodes, and on the cluster of tests/conftest.py."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.localcloud.server import Cloud
from tests.cluster import nodes, programs
from tests.cluster.control_plane import PROGRAMS, ControlPlane
from tests.cluster_e2e.pods import NODE
from tests.support import image, multus_stub
from tests.support.edge_cluster import EdgeCluster
from tests.support.edge_host import AGENT, EdgeHost, eventually


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real API without nodes, for tests that need no kubelet."""
    with ControlPlane(programs.build(*PROGRAMS, "kubectl"), tmp_path_factory.mktemp("control-plane")) as made:
        yield made


@pytest.fixture
async def edge_cluster(tmp_path: Path, control_plane: ControlPlane, cloud: Cloud) -> AsyncIterator[EdgeCluster]:
    """An installation on that API, with no process started yet."""
    kubectl = programs.build("kubectl") / "kubectl"
    edge = EdgeCluster(tmp_path, kubectl, control_plane.kubeconfig, cloud, await cloud.enroll(AGENT))
    await edge.prepare()
    yield edge
    await edge.close()


@pytest.fixture
async def edge(tmp_path: Path, cluster: nodes.Cluster, cloud: Cloud) -> AsyncIterator[EdgeCluster]:
    """An installation on the cluster; what it created there is deleted afterwards."""
    made = EdgeCluster(tmp_path, cluster.programs / "kubectl", cluster.kubeconfig, cloud, await cloud.enroll(AGENT))
    await made.prepare()
    yield made
    await made.close()
    for kind in ("statefulsets", "services", "pods", "persistentvolumeclaims"):
        await made.kubectl("delete", kind, "--all", "--wait", "--grace-period=1")


@pytest.fixture
async def controller(edge: EdgeCluster) -> EdgeHost:
    """The leader, which is also the agent of the node, connected to the cloud."""
    settings = {"EDGE_RUNTIME_IMAGE": image.REPOSITORY, "EDGE_RUNTIME_TEMPLATE": "{}"}
    made = edge.process(NODE, "link,pods,node", **settings)
    await made.start(connected=False)
    await edge.cloud.wait_agent(AGENT, timeout=60)
    return made


@pytest.fixture
async def parent(edge: EdgeCluster, controller: EdgeHost) -> str:
    """An interface that the agent reports: one of this machine's NICs. Without Multus nothing is created on it."""

    async def reported() -> str:
        found = json.loads(await edge.kubectl("get", "edgenodes", "-o", "json"))["items"]
        listed = [(node.get("status") or {}) for node in found]
        return next((one["interfaces"][0]["name"] for one in listed if one.get("api") and one.get("interfaces")), "")

    name: str = await eventually(reported, "the node publishes its address and its interfaces")
    return name


@pytest.fixture
async def multus_kind(edge: EdgeCluster) -> AsyncIterator[None]:
    """Multus' CRD, for the duration of a test."""
    await edge.apply(multus_stub.KIND)
    await edge.kubectl("wait", "--for=condition=Established", f"crd/{multus_stub.NAME}")
    await edge.kubectl("get", "network-attachment-definitions")
    yield
    await edge.kubectl("delete", "crd", multus_stub.NAME)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run test_rights.py last: it evaluates the audit log of all other tests."""
    items.sort(key=lambda item: item.path.name == "test_rights.py")
