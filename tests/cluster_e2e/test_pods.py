"""Runtimes as pods, from the cloud's command to the kubelet and back, on a real cluster.

The controller runs outside the cluster, as the leader and as the agent of a node. Multus is not installed: its CRD is,
and the test writes what Multus would report about a pod.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from controller.backends.base import Identity
from controller.backends.pods import naming
from tests.cluster_e2e.pods import ADDRESS, NODE, come_up, pod_of, program, report_as_multus, running_pod
from tests.support.edge_cluster import EdgeCluster
from tests.support.edge_host import AGENT, NAMESPACE, EdgeHost, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


async def test_the_cloud_creates_queries_stops_starts_and_deletes_a_pod(
    edge: EdgeCluster, controller: EdgeHost, multus_kind: None, parent: str
) -> None:
    pod = await come_up(edge, controller, parent, "plc1")
    status = await controller.status("plc1")
    commanded = await controller.send("run_command", device_id="plc1", method="GET", api="/api/status", port=8443)
    stopped = await controller.send("stop_device", device_id="plc1")
    gone = await pod_of(edge, "plc1")
    started = asyncio.create_task(controller.send("start_device", device_id="plc1"))
    again = await running_pod(edge, "plc1")
    await report_as_multus(edge, again)
    answered = await started
    deleted = await controller.send("delete_device", device_id="plc1")
    await controller.wait_gone("plc1", seconds=90)

    assert pod["spec"]["nodeName"] == NODE
    assert status["is_running"]
    assert status["networks"]["lan0"]["ip_address"] == ADDRESS.partition("/")[0]
    assert commanded["http_response"]["body"]["status"] == "running"
    assert stopped["status"] == "success", stopped
    assert gone is None
    assert answered["status"] == "success", answered
    assert again["metadata"]["uid"] != pod["metadata"]["uid"]
    assert deleted["status"] in ("success", "deleting"), deleted
    assert await pod_of(edge, "plc1") is None
    left = await edge.kubectl("get", "statefulsets,services,network-attachment-definitions", "-o", "name")
    assert "plc1" not in left


async def test_the_agent_of_its_node_reports_the_usage_of_a_pod(
    edge: EdgeCluster, controller: EdgeHost, multus_kind: None, parent: str
) -> None:
    pod = await come_up(edge, controller, parent, "plc7")

    async def used(since: int = 0) -> int:
        answer = await controller.send("get_consumption_device", device_id="plc7", cpuPeriod="1h", memoryPeriod="1h")
        assert len(answer["cpu_usage"]) == len(answer["memory_usage"]), answer
        return max((point["timestamp"] for point in answer["memory_usage"] if point["memory"] > 0), default=since)

    await eventually(used, "the pod's usage is reported")
    await edge.kubectl("delete", "pod", pod["metadata"]["name"], "--wait")
    restarted = (await running_pod(edge, "plc7"))["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    since = datetime.fromisoformat(restarted).timestamp()

    async def used_again() -> bool:
        return await used() > since

    # Kubernetes tells the start in whole seconds, in which the old container may still have been measured.
    assert await eventually(used_again, "the new pod's usage is reported too")


async def test_without_multus_the_error_says_how_to_install_it(
    edge: EdgeCluster, controller: EdgeHost, parent: str
) -> None:
    await controller.create("plc2", parent, ADDRESS)
    await edge.kubectl("wait", "runtime/plc2", "--for=condition=Stalled", "--timeout=90s")

    answer = await controller.status("plc2")

    assert answer["status"] == "error"
    assert "rke2-multus" in answer["error"]
    assert await pod_of(edge, "plc2") is None


async def test_a_killed_and_restarted_controller_restarts_no_pod(
    edge: EdgeCluster, controller: EdgeHost, multus_kind: None, parent: str
) -> None:
    pod = await come_up(edge, controller, parent, "plc3")
    await controller.kill()
    await controller.start(connected=False)
    await edge.cloud.wait_agent(AGENT, timeout=60)
    await edge.kubectl("wait", "runtime/plc3", "--for=condition=Ready", "--timeout=90s")

    answer = await controller.send("restart_device", device_id="plc-unknown")
    after = await running_pod(edge, "plc3")

    assert answer["status"] == "error"
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert program(after) == program(pod)


async def test_a_device_id_that_is_no_valid_service_name_works(
    edge: EdgeCluster, controller: EdgeHost, multus_kind: None, parent: str
) -> None:
    name = "9_Station.A"
    await controller.create(name, parent, ADDRESS)
    identity = Identity("any", NAMESPACE, name)

    pod = await running_pod(edge, naming.workload(identity))

    assert pod["metadata"]["annotations"]["getedge.me/device-id"] == name
