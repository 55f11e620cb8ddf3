"""The pods of a node whose containers are measured: found by their watch, their processes by the container's id."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from controller import names
from controller.backends.base import Identity, RunningContainer
from controller.backends.pods import naming
from controller.machinery import kinds as core_kinds
from controller.nodes.pod_containers import PodContainers
from tests.support.direct_api import DirectApi

NODE = "node-1"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc without processes."""
    return tmp_path


def start_process(proc: Path, pid: int, container: str) -> None:
    """Add a process of a pod's container."""
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "cgroup").write_text(f"0::/kubepods.slice/cri-containerd-{container}.scope\n")
    (folder / "stat").write_text(f"{pid} (plc) S " + " ".join(["0"] * 18) + " 4711" + " 0" * 30)


async def create_pod(
    api: DirectApi, name: str, *, node: str = NODE, namespace: str = "edge", container: str = ""
) -> Identity:
    """Create the pod of a runtime, with a running container; return the runtime's identity."""
    identity = Identity("i-1", namespace, name)
    annotations = {names.NAMESPACE_LABEL: namespace, names.DEVICE_LABEL: name}
    metadata = {"name": name, "namespace": namespace, "labels": naming.labels(identity), "annotations": annotations}
    running = {"name": "runtime", "containerID": f"containerd://{container}", "state": {"running": {}}}
    status: dict[str, Any] = {"containerStatuses": [running]} if container else {}
    await api.create(core_kinds.PODS, {"metadata": metadata, "spec": {"nodeName": node}})
    await api.patch(core_kinds.PODS, name, namespace, {"status": status}, subresource="status")
    return identity


async def test_the_containers_of_this_nodes_pods_are_found_with_their_processes(
    direct_api: DirectApi, proc: Path
) -> None:
    here = await create_pod(direct_api, "plc-1", container="c1")
    await create_pod(direct_api, "plc-2", node="node-2", container="c2")
    start_process(proc, 10, "c1")
    start_process(proc, 20, "c2")
    pods = PodContainers(direct_api, "i-1", NODE, ("edge",), proc)
    async with asyncio.timeout(30), aclosing(pods.changes()) as changes:
        assert await anext(changes) == here
    assert await pods.running() == [RunningContainer(here, 10)]


async def test_a_container_without_a_process_is_dropped_until_its_pod_changes(
    direct_api: DirectApi, proc: Path
) -> None:
    identity = await create_pod(direct_api, "plc-1", container="c1")
    pods = PodContainers(direct_api, "i-1", NODE, ("edge",), proc)
    async with asyncio.timeout(30), aclosing(pods.changes()) as changes:
        await anext(changes)
        assert await pods.running() == []
        start_process(proc, 10, "c1")
        assert await pods.running() == []
        await direct_api.patch(core_kinds.PODS, "plc-1", "edge", {"metadata": {"labels": {"restarted": "true"}}})
        assert await anext(changes) == identity
    assert await pods.running() == [RunningContainer(identity, 10)]


async def test_the_pods_of_each_namespace_are_followed_and_no_others(direct_api: DirectApi, proc: Path) -> None:
    here = await create_pod(direct_api, "plc-1", container="c1")
    start_process(proc, 10, "c1")
    pods = PodContainers(direct_api, "i-1", NODE, ("edge", "line"), proc)
    async with asyncio.timeout(30), aclosing(pods.changes()) as changes:
        assert await anext(changes) == here
        await create_pod(direct_api, "plc-2", namespace="dev", container="c2")
        there = await create_pod(direct_api, "plc-3", namespace="line", container="c3")
        assert await anext(changes) == there
