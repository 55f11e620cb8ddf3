"""Runtimes as pods, from the cloud's command to the kubelet and back, on a real cluster.

The controller runs beside the cluster, as the leader and as the agent of a node. There is no Multus: its kind is there,
and what it would tell of a pod is told by the test.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from controller import names
from controller.backends.base import Identity
from controller.backends.pods import multus, naming
from controller.console.server import Cloud
from tests.cluster import nodes
from tests.support import image, multus_stub
from tests.support.cluster_site import ClusterSite
from tests.support.site import AGENT, NAMESPACE, Site, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

NODE = "node1"
ADDRESS = "10.64.7.50/24"


@pytest.fixture
async def site(tmp_path: Path, cluster: nodes.Cluster, cloud: Cloud) -> AsyncIterator[ClusterSite]:
    """An installation on the cluster; what it made there is gone afterwards."""
    made = ClusterSite(tmp_path, cluster.programs / "kubectl", cluster.kubeconfig, cloud, await cloud.enroll(AGENT))
    await made.prepare()
    yield made
    await made.close()
    for kind in ("statefulsets", "services", "pods", "persistentvolumeclaims"):
        await made.kubectl("delete", kind, "--all", "--wait", "--grace-period=1")


@pytest.fixture
async def controller(site: ClusterSite) -> Site:
    """The leader, which is the agent of the node too; the cloud sees it."""
    settings = {"EDGE_RUNTIME_IMAGE": image.REPOSITORY, "EDGE_RUNTIME_TEMPLATE": "{}"}
    made = site.process(NODE, "link,pods,node", **settings)
    await made.start(connected=False)
    await site.cloud.wait_agent(AGENT, timeout=60)
    return made


@pytest.fixture
async def parent(site: ClusterSite, controller: Site) -> str:
    """An interface that the agent tells of: one of this machine's NICs, on which nothing is made without Multus."""

    async def told() -> str:
        found = json.loads(await site.kubectl("get", "edgenodes", "-o", "json"))["items"]
        listed = [(node.get("status") or {}) for node in found]
        return next((one["interfaces"][0]["name"] for one in listed if one.get("api") and one.get("interfaces")), "")

    name: str = await eventually(told, "the node tells where it answers, and which interfaces it has")
    return name


@pytest.fixture
async def multus_kind(site: ClusterSite) -> AsyncIterator[None]:
    """Multus' kind, for as long as a test needs it."""
    await site.apply(multus_stub.KIND)
    await site.kubectl("wait", "--for=condition=Established", f"crd/{multus_stub.NAME}")
    await site.kubectl("get", "network-attachment-definitions")
    yield
    await site.kubectl("delete", "crd", multus_stub.NAME)


async def pod_of(site: ClusterSite, name: str) -> dict[str, Any] | None:
    """The pod of a runtime."""
    found = json.loads(await site.kubectl("get", "pods", "-o", "json"))["items"]
    return next((pod for pod in found if pod["metadata"]["name"] == f"{name}-0"), None)


async def running_pod(site: ClusterSite, name: str) -> dict[str, Any]:
    """The pod of a runtime, once its program runs."""

    async def runs() -> dict[str, Any] | None:
        pod = await pod_of(site, name)
        told = ((pod or {}).get("status") or {}).get("containerStatuses") or [{}]
        return pod if pod and "running" in (told[0].get("state") or {}) else None

    found: dict[str, Any] = await eventually(runs, f"the pod of {name} runs")
    return found


def program(pod: dict[str, Any]) -> tuple[str, int, str]:
    """Which start of which container it is."""
    (told,) = pod["status"]["containerStatuses"]
    return told["containerID"], told["restartCount"], told["state"]["running"]["startedAt"]


async def tell_as_multus(site: ClusterSite, pod: dict[str, Any]) -> None:
    """Write on the pod what Multus writes when it did what the pod asks for."""
    note = f"{multus.NETWORK_STATUS}={multus_stub.told(pod)}"
    await site.kubectl("annotate", "pod", pod["metadata"]["name"], note, "--overwrite")


async def come_up(site: ClusterSite, controller: Site, parent: str, name: str) -> dict[str, Any]:
    """A runtime of the cloud that is Ready; its pod."""
    answer = await controller.create(name, parent, ADDRESS)
    assert answer["status"] in ("success", "creating"), answer
    pod = await running_pod(site, name)
    await tell_as_multus(site, pod)
    await site.kubectl("wait", f"runtime/{name}", "--for=condition=Ready", "--timeout=90s")
    return pod


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
    await tell_as_multus(site, again)
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


async def test_a_runtime_of_a_node_that_is_cut_off_is_unknown_and_runs_nowhere_else(
    site: ClusterSite, cluster: nodes.Cluster, controller: Site, multus_kind: None, parent: str
) -> None:
    pod = await come_up(site, controller, parent, "plc4")
    cut = cluster.nodes[0]
    cut.set_cable(plugged=False)
    try:
        await site.kubectl("wait", "runtime/plc4", "--for=condition=Ready=Unknown", "--timeout=120s")
        told = (await site.get("runtime", "plc4"))["status"]["conditions"]
        kept = await pod_of(site, "plc4")
    finally:
        cut.set_cable(plugged=True)
    await site.kubectl("wait", "runtime/plc4", "--for=condition=Ready", "--timeout=120s")
    after = await pod_of(site, "plc4")

    assert {one["reason"] for one in told if one["type"] == "Ready"} == {"NodeAway"}
    for seen in (kept, after):
        assert seen is not None
        assert seen["metadata"]["uid"] == pod["metadata"]["uid"]
        assert "deletionTimestamp" not in seen["metadata"]
    assert after is not None
    assert program(after) == program(pod)


async def test_a_pod_that_a_person_deletes_comes_back_by_itself_and_is_counted(
    site: ClusterSite, controller: Site, multus_kind: None, parent: str
) -> None:
    pod = await come_up(site, controller, parent, "plc5")
    await controller.stop()
    await site.kubectl("delete", "pod", "plc5-0", "--wait")
    again = await running_pod(site, "plc5")
    await tell_as_multus(site, again)
    await controller.start(connected=False)
    await site.kubectl("wait", "runtime/plc5", "--for=jsonpath={.status.restartCount}=1", "--timeout=90s")
    await site.kubectl("wait", "runtime/plc5", "--for=condition=Ready", "--timeout=90s")

    assert again["metadata"]["uid"] != pod["metadata"]["uid"]


async def test_a_pod_that_a_spec_of_its_own_replaces_is_replaced_once(
    site: ClusterSite, controller: Site, multus_kind: None, parent: str
) -> None:
    pod = await come_up(site, controller, parent, "plc6")
    await site.kubectl("patch", "runtime", "plc6", "--type=merge", "-p", '{"spec":{"version":"2"}}')

    async def replaced() -> dict[str, Any] | None:
        found = await running_pod(site, "plc6")
        return found if found["metadata"]["uid"] != pod["metadata"]["uid"] else None

    new = await eventually(replaced, "another pod runs")
    await tell_as_multus(site, new)
    await site.kubectl("wait", "runtime/plc6", "--for=jsonpath={.status.appliedGeneration}=2", "--timeout=90s")
    status = (await site.get("runtime", "plc6"))["status"]

    assert new["spec"]["containers"][0]["image"] == f"{image.REPOSITORY}:2"
    told = [(record["event"], record["cause"]) for record in status["restarts"]]
    assert told == [("Started", "Created"), ("Stopped", "SpecChanged"), ("Started", "SpecChanged")]
    assert (await running_pod(site, "plc6"))["metadata"]["uid"] == new["metadata"]["uid"]


async def test_names_of_the_cloud_that_no_service_can_have_are_served_as_well(
    site: ClusterSite, controller: Site, multus_kind: None, parent: str
) -> None:
    name = "9_Station.A"
    await controller.create(name, parent, ADDRESS)
    identity = Identity("any", NAMESPACE, name)

    pod = await running_pod(site, naming.workload(identity))

    assert pod["metadata"]["annotations"]["getedge.me/device-id"] == name


async def test_a_person_may_change_all_of_a_runtime_and_go_back_from_a_version_that_does_not_run(
    site: ClusterSite, cluster: nodes.Cluster, controller: Site
) -> None:
    name, ready = "plc8", ("wait", "runtime/plc8", "--for=condition=Ready", "--timeout=120s")
    cluster.provide_volume(NAMESPACE, f"{name}-data")
    spec: dict[str, Any] = {"deviceId": name, "image": image.REPOSITORY, "version": "1", "backend": "Pod"}
    spec["volumes"] = [{"name": "data", "mountPath": "/data", "reclaimPolicy": "Delete"}]
    await site.apply({"apiVersion": names.API_VERSION, "kind": "Runtime", "metadata": {"name": name}, "spec": spec})
    await site.kubectl(*ready)
    before = await running_pod(site, name)

    async def change(spec: dict[str, Any]) -> None:
        await site.kubectl("patch", "runtime", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    await change({"controlPort": {"port": 9443}})
    await site.kubectl("wait", f"service/{name}", "--for=jsonpath={.spec.ports[0].port}=9443", "--timeout=120s")
    await site.kubectl(*ready)
    await change({"version": "crash"})
    stalled = "jsonpath={.status.conditions[?(@.type=='Stalled')].reason}"
    await site.kubectl("wait", f"runtime/{name}", f"--for={stalled}=ReplaceFailed", "--timeout=120s")
    after = await running_pod(site, name)
    await site.kubectl("delete", "runtime", name, "--timeout=120s")

    assert after["spec"]["containers"][0]["image"] == before["spec"]["containers"][0]["image"]
    assert await site.kubectl("get", "persistentvolumeclaims", "-o", "name") == ""


async def test_limits_change_while_the_pod_runs(site: ClusterSite, controller: Site) -> None:
    spec = {"deviceId": "plc9", "image": image.REPOSITORY, "version": "1", "backend": "Pod"}
    metadata = {"name": "plc9"}
    limits = {"cpu": "500m", "memory": "128Mi"}
    await site.apply({"apiVersion": names.API_VERSION, "kind": "Runtime", "metadata": metadata,
                      "spec": {**spec, "resources": limits}})  # fmt: skip
    await site.kubectl("wait", "runtime/plc9", "--for=condition=Ready", "--timeout=120s")
    before = await running_pod(site, "plc9")

    await site.kubectl("patch", "runtime", "plc9", "--type=merge", "-p", '{"spec":{"resources":{"memory":"192Mi"}}}')
    given = "jsonpath={.status.containerStatuses[0].resources.limits.memory}"
    await site.kubectl("wait", "pod/plc9-0", f"--for={given}=192Mi", "--timeout=120s")

    after = await running_pod(site, "plc9")
    assert program(after) == program(before)
