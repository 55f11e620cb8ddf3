"""Helpers for Runtimes as pods on the cluster with nodes: their pods, and what Multus would report about them."""

from __future__ import annotations

import json
from typing import Any

from controller.backends.pods import multus
from tests.support import multus_stub
from tests.support.edge_cluster import EdgeCluster
from tests.support.edge_host import EdgeHost, eventually

NODE = "node1"
ADDRESS = "10.64.7.50/24"


async def pod_of(edge: EdgeCluster, name: str) -> dict[str, Any] | None:
    """The pod of a runtime."""
    found = json.loads(await edge.kubectl("get", "pods", "-o", "json"))["items"]
    return next((pod for pod in found if pod["metadata"]["name"] == f"{name}-0"), None)


async def running_pod(edge: EdgeCluster, name: str) -> dict[str, Any]:
    """The pod of a runtime, once its program runs."""

    async def runs() -> dict[str, Any] | None:
        pod = await pod_of(edge, name)
        reported = ((pod or {}).get("status") or {}).get("containerStatuses") or [{}]
        return pod if pod and "running" in (reported[0].get("state") or {}) else None

    found: dict[str, Any] = await eventually(runs, f"the pod of {name} runs")
    return found


def program(pod: dict[str, Any]) -> tuple[str, int, str]:
    """What identifies a run of a container: its id, restart count and start time."""
    (reported,) = pod["status"]["containerStatuses"]
    return reported["containerID"], reported["restartCount"], reported["state"]["running"]["startedAt"]


async def report_as_multus(edge: EdgeCluster, pod: dict[str, Any]) -> None:
    """Annotate the pod like Multus after it has attached the networks."""
    note = f"{multus.NETWORK_STATUS}={multus_stub.reported(pod)}"
    await edge.kubectl("annotate", "pod", pod["metadata"]["name"], note, "--overwrite")


async def come_up(edge: EdgeCluster, controller: EdgeHost, parent: str, name: str) -> dict[str, Any]:
    """Create a runtime through the cloud and wait until it is Ready; return its pod."""
    answer = await controller.create(name, parent, ADDRESS)
    assert answer["status"] in ("success", "creating"), answer
    pod = await running_pod(edge, name)
    await report_as_multus(edge, pod)
    await edge.kubectl("wait", f"runtime/{name}", "--for=condition=Ready", "--timeout=90s")
    return pod
