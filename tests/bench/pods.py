"""Section ``pods``: from the cloud's command to a Ready pod, beside ``kubectl create`` of the same pod."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from controller.localcloud.server import Cloud
from controller.machinery import endpoint
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from tests.bench import rows
from tests.bench.rows import Goal, Reference, Row
from tests.bench.section import Run
from tests.cluster import nodes, programs
from tests.support import image, multus_stub
from tests.support.edge_cluster import EdgeCluster
from tests.support.edge_host import AGENT, NAMESPACE, EdgeHost, eventually

ADDRESS = "10.64.7.50/24"
READY_SECONDS = 90.0


class Creation(NamedTuple):
    """Seconds of each round."""

    ours: list[float]
    raw: list[float]


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    what = "create command to Ready pod"
    try:
        found = await _creation(run.counts.pods)
    except programs.Unavailable as error:
        yield rows.unmeasured(what, error)
        return
    raw = rows.median(found.raw)
    goal = Goal(1.2 * statistics.median(found.raw), "1.2 x kubectl")
    yield Row(what, rows.SECONDS, rows.median(found.ours), Reference("kubectl create", raw), goal)


async def _creation(rounds: int) -> Creation:
    """Create through the controller and with kubectl in turn, so that both see the same noise.

    Raises programs.Unavailable.
    """
    built = await asyncio.to_thread(nodes.build)
    with tempfile.TemporaryDirectory(prefix="edge-pods-") as name, nodes.Cluster(built, Path(name) / "cluster") as made:
        await asyncio.to_thread(made.load, image.runtime_images())
        async with _installation(Path(name), made) as (edge, controller, api):
            parent = await _parent(edge)
            figures = Creation([], [])
            for number in range(rounds):
                phase = number / rounds
                figures.ours.append(await _ours(controller, api, parent, f"bench-{number}", phase))
                figures.raw.append(await _raw(edge, api, f"bench-{number}", phase))
                await controller.send("delete_device", device_id=f"bench-{number}")
                await controller.wait_gone(f"bench-{number}", seconds=READY_SECONDS)
            return figures


@asynccontextmanager
async def _installation(folder: Path, cluster: nodes.Cluster) -> AsyncIterator[tuple[EdgeCluster, EdgeHost, ApiClient]]:
    """A controller with all roles that is connected to the cloud, and a client of the cluster."""
    cloud = Cloud(folder / "cloud")
    await cloud.start()
    edge = EdgeCluster(folder, cluster.programs / "kubectl", cluster.kubeconfig, cloud, await cloud.enroll(AGENT))
    api = ApiClient(await endpoint.from_kubeconfig(cluster.kubeconfig))
    await edge.prepare()
    await edge.apply(multus_stub.KIND)
    await edge.kubectl("wait", "--for=condition=Established", f"crd/{multus_stub.NAME}")
    await edge.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
    node = cluster.nodes[0].name
    settings = {"EDGE_RUNTIME_IMAGE": image.REPOSITORY, "EDGE_RUNTIME_TEMPLATE": "{}"}
    controller = edge.process(node, "link,pods,node", **settings)
    try:
        await controller.start(connected=False)
        await cloud.wait_agent(AGENT, timeout=READY_SECONDS)
        yield edge, controller, api
    finally:
        await edge.close()
        await api.close()
        await cloud.stop()


async def _parent(edge: EdgeCluster) -> str:
    async def reported() -> str:
        found = json.loads(await edge.kubectl("get", "edgenodes", "-o", "json"))["items"]
        listed = [(node.get("status") or {}) for node in found]
        return next((one["interfaces"][0]["name"] for one in listed if one.get("api") and one.get("interfaces")), "")

    name: str = await eventually(reported, "the node reports its interfaces")
    return name


async def _ours(controller: EdgeHost, api: ApiClient, parent: str, name: str, phase: float) -> float:
    ready = asyncio.create_task(_ready(api, f"{name}-0"))
    await _until(phase)
    began = time.perf_counter()
    answer = await controller.create(name, parent, ADDRESS)
    assert answer["status"] != "error", answer
    return await ready - began


async def _raw(edge: EdgeCluster, api: ApiClient, name: str, phase: float) -> float:
    """A copy of the pod of our StatefulSet, created with kubectl."""
    template = (await edge.get("statefulset", name))["spec"]["template"]
    described = {"name": f"raw-{name}", "namespace": NAMESPACE, "annotations": template["metadata"]["annotations"]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": described, "spec": template["spec"]}
    ready = asyncio.create_task(_ready(api, f"raw-{name}"))
    await _until(phase)
    began = time.perf_counter()
    await edge.kubectl("create", "--filename=-", stdin=json.dumps(body))
    taken = await ready - began
    await edge.kubectl("delete", "pod", f"raw-{name}", "--wait", "--grace-period=1")
    return taken


async def _until(phase: float) -> None:
    """Wait for this fraction of a second of the clock, while the streams open.

    A kubelet checks its containers once per second: both variants must start at the same offset.
    """
    await asyncio.sleep(0.2)
    await asyncio.sleep((phase - time.time()) % 1.0)


async def _ready(api: ApiClient, name: str) -> float:
    """When the pod of that name became Ready."""
    async with asyncio.timeout(READY_SECONDS), aclosing(_events(api)) as events:
        async for pod in events:
            conditions = (pod.get("status") or {}).get("conditions") or ()
            if pod["metadata"].get("name") == name and ("Ready", "True") in {
                (c["type"], c["status"]) for c in conditions
            }:
                return time.perf_counter()
    raise AssertionError("the watch ended")


async def _events(api: ApiClient) -> AsyncGenerator[dict[str, Any]]:
    async for event in api.watch(core_kinds.PODS, NAMESPACE):
        yield event.object
