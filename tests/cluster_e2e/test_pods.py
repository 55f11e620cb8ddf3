"""Runtimes as pods, from the cloud's command to the kubelet and back, on a real cluster.

The controller runs beside the cluster, as the leader and as the agent of a node. There is no Multus: its kind is there,
and what it would tell of a pod is told by the test.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from controller.backends.base import Identity
from controller.backends.pods import naming
from tests.cluster_e2e.pods import ADDRESS, NODE, come_up, pod_of, program, report_as_multus, running_pod
from tests.support.cluster_site import ClusterSite
from tests.support.site import AGENT, NAMESPACE, Site, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


async def test_the_cloud_creates_asks_commands_stops_starts_and_deletes_a_pod(
    site: ClusterSite, controller: Site, multus_kind: None, parent: str
) -> None:
    pod = await come_up(site, controller, parent, "plc1")
    asked = await controller.status("plc1")
    commanded = await controller.send("run_command", device_id="plc1", method="GET", api="/api/status", port=8443)
    stopped = await controller.send("stop_device", device_id="plc1")
    gone = await pod_of(site, "plc1")
    started = asyncio.create_task(controller.send("start_device", device_id="plc1"))
    again = await running_pod(site, "plc1")
    await report_as_multus(site, again)
    answered = await started
    deleted = await controller.send("delete_device", device_id="plc1")
    await controller.wait_gone("plc1", seconds=90)

    assert pod["spec"]["nodeName"] == NODE
    assert asked["is_running"]
    assert asked["networks"]["lan0"]["ip_address"] == ADDRESS.partition("/")[0]
    assert commanded["http_response"]["body"]["status"] == "running"
    assert stopped["status"] == "success", stopped
    assert gone is None
    assert answered["status"] == "success", answered
    assert again["metadata"]["uid"] != pod["metadata"]["uid"]
    assert deleted["status"] in ("success", "deleting"), deleted
    assert await pod_of(site, "plc1") is None
    left = await site.kubectl("get", "statefulsets,services,network-attachment-definitions", "-o", "name")
    assert "plc1" not in left


async def test_what_a_pod_uses_is_told_by_the_agent_of_its_node(
    site: ClusterSite, controller: Site, multus_kind: None, parent: str
) -> None:
    pod = await come_up(site, controller, parent, "plc7")

    async def used(since: int = 0) -> int:
        answer = await controller.send("get_consumption_device", device_id="plc7", cpuPeriod="1h", memoryPeriod="1h")
        assert len(answer["cpu_usage"]) == len(answer["memory_usage"]), answer
        return max((point["timestamp"] for point in answer["memory_usage"] if point["memory"] > 0), default=since)

    before = await eventually(used, "what the pod uses is told")
    await site.kubectl("delete", "pod", pod["metadata"]["name"], "--wait")
    restarted = (await running_pod(site, "plc7"))["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    since = datetime.fromisoformat(restarted).timestamp()

    async def used_again() -> bool:
        return await used() > since

    await eventually(used_again, "what the pod in its place uses is told too")
    assert before < since


async def test_without_multus_the_cloud_is_told_how_to_install_it(
    site: ClusterSite, controller: Site, parent: str
) -> None:
    await controller.create("plc2", parent, ADDRESS)
    await site.kubectl("wait", "runtime/plc2", "--for=condition=Stalled", "--timeout=90s")

    answer = await controller.status("plc2")

    assert answer["status"] == "error"
    assert "rke2-multus" in answer["error"]
    assert await pod_of(site, "plc2") is None


async def test_a_controller_that_is_killed_and_started_again_restarts_no_pod(
    site: ClusterSite, controller: Site, multus_kind: None, parent: str
) -> None:
    pod = await come_up(site, controller, parent, "plc3")
    await controller.kill()
    await controller.start(connected=False)
    await site.cloud.wait_agent(AGENT, timeout=60)
    await site.kubectl("wait", "runtime/plc3", "--for=condition=Ready", "--timeout=90s")

    answer = await controller.send("restart_device", device_id="plc-unknown")
    after = await running_pod(site, "plc3")

    assert answer["status"] == "error"
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert program(after) == program(pod)


async def test_names_of_the_cloud_that_no_service_can_have_are_served_as_well(
    site: ClusterSite, controller: Site, multus_kind: None, parent: str
) -> None:
    name = "9_Station.A"
    await controller.create(name, parent, ADDRESS)
    identity = Identity("any", NAMESPACE, name)

    pod = await running_pod(site, naming.workload(identity))

    assert pod["metadata"]["annotations"]["getedge.me/device-id"] == name
