"""Changes of pods: replaced after a change of the spec, deleted by a person, changed in place, or cut off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller import names
from tests.cluster import nodes
from tests.cluster_e2e.pods import come_up, pod_of, program, report_as_multus, running_pod
from tests.support import image
from tests.support.edge_cluster import EdgeCluster
from tests.support.edge_host import NAMESPACE, EdgeHost, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


async def test_a_runtime_on_a_disconnected_node_is_unknown_and_not_moved(
    edge: EdgeCluster, cluster: nodes.Cluster, controller: EdgeHost, multus_kind: None, parent: str
) -> None:
    pod = await come_up(edge, controller, parent, "plc4")
    cut = cluster.nodes[0]
    cut.set_cable(plugged=False)
    try:
        await edge.kubectl("wait", "runtime/plc4", "--for=condition=Ready=Unknown", "--timeout=120s")
        reported = (await edge.get("runtime", "plc4"))["status"]["conditions"]
        kept = await pod_of(edge, "plc4")
    finally:
        cut.set_cable(plugged=True)
    await edge.kubectl("wait", "runtime/plc4", "--for=condition=Ready", "--timeout=120s")
    after = await pod_of(edge, "plc4")

    assert {one["reason"] for one in reported if one["type"] == "Ready"} == {"NodeAway"}
    for seen in (kept, after):
        assert seen is not None
        assert seen["metadata"]["uid"] == pod["metadata"]["uid"]
        assert "deletionTimestamp" not in seen["metadata"]
    assert after is not None
    assert program(after) == program(pod)


async def test_a_deleted_pod_is_recreated_and_counted_as_a_restart(
    edge: EdgeCluster, controller: EdgeHost, multus_kind: None, parent: str
) -> None:
    pod = await come_up(edge, controller, parent, "plc5")
    await controller.stop()
    await edge.kubectl("delete", "pod", "plc5-0", "--wait")
    again = await running_pod(edge, "plc5")
    await report_as_multus(edge, again)
    await controller.start(connected=False)
    await edge.kubectl("wait", "runtime/plc5", "--for=jsonpath={.status.restartCount}=1", "--timeout=90s")
    await edge.kubectl("wait", "runtime/plc5", "--for=condition=Ready", "--timeout=90s")

    assert again["metadata"]["uid"] != pod["metadata"]["uid"]


async def test_a_changed_spec_replaces_the_pod_once(
    edge: EdgeCluster, controller: EdgeHost, multus_kind: None, parent: str
) -> None:
    pod = await come_up(edge, controller, parent, "plc6")
    await edge.kubectl("patch", "runtime", "plc6", "--type=merge", "-p", '{"spec":{"version":"2"}}')

    async def replaced() -> dict[str, Any] | None:
        found = await running_pod(edge, "plc6")
        return found if found["metadata"]["uid"] != pod["metadata"]["uid"] else None

    new = await eventually(replaced, "another pod runs")
    await report_as_multus(edge, new)
    await edge.kubectl("wait", "runtime/plc6", "--for=jsonpath={.status.appliedGeneration}=2", "--timeout=90s")
    status = (await edge.get("runtime", "plc6"))["status"]

    assert new["spec"]["containers"][0]["image"] == f"{image.REPOSITORY}:2"
    reported = [(record["event"], record["cause"]) for record in status["restarts"]]
    assert reported == [("Started", "Created"), ("Stopped", "SpecChanged"), ("Started", "SpecChanged")]
    assert (await running_pod(edge, "plc6"))["metadata"]["uid"] == new["metadata"]["uid"]


async def test_a_runtime_can_be_changed_and_a_failing_version_is_rolled_back(
    edge: EdgeCluster, cluster: nodes.Cluster, controller: EdgeHost
) -> None:
    name, ready = "plc8", ("wait", "runtime/plc8", "--for=condition=Ready", "--timeout=120s")
    cluster.provide_volume(NAMESPACE, f"{name}-data")
    spec: dict[str, Any] = {"deviceId": name, "image": image.REPOSITORY, "version": "1", "backend": "Pod"}
    spec["volumes"] = [{"name": "data", "mountPath": "/data", "reclaimPolicy": "Delete"}]
    await edge.apply({"apiVersion": names.API_VERSION, "kind": "Runtime", "metadata": {"name": name}, "spec": spec})
    await edge.kubectl(*ready)
    before = await running_pod(edge, name)

    async def change(spec: dict[str, Any]) -> None:
        await edge.kubectl("patch", "runtime", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    await change({"controlPort": {"port": 9443}})
    await edge.kubectl("wait", f"service/{name}", "--for=jsonpath={.spec.ports[0].port}=9443", "--timeout=120s")
    await edge.kubectl(*ready)
    await change({"version": "crash"})
    stalled = "jsonpath={.status.conditions[?(@.type=='Stalled')].reason}"
    await edge.kubectl("wait", f"runtime/{name}", f"--for={stalled}=ReplaceFailed", "--timeout=120s")
    after = await running_pod(edge, name)
    await edge.kubectl("delete", "runtime", name, "--timeout=120s")

    assert after["spec"]["containers"][0]["image"] == before["spec"]["containers"][0]["image"]
    assert await edge.kubectl("get", "persistentvolumeclaims", "-o", "name") == ""


async def test_limits_change_without_a_restart(edge: EdgeCluster, controller: EdgeHost) -> None:
    spec = {"deviceId": "plc9", "image": image.REPOSITORY, "version": "1", "backend": "Pod"}
    metadata = {"name": "plc9"}
    limits = {"cpu": "500m", "memory": "128Mi"}
    await edge.apply({"apiVersion": names.API_VERSION, "kind": "Runtime", "metadata": metadata,
                      "spec": {**spec, "resources": limits}})  # fmt: skip
    await edge.kubectl("wait", "runtime/plc9", "--for=condition=Ready", "--timeout=120s")
    before = await running_pod(edge, "plc9")

    await edge.kubectl("patch", "runtime", "plc9", "--type=merge", "-p", '{"spec":{"resources":{"memory":"192Mi"}}}')
    given = "jsonpath={.status.containerStatuses[0].resources.limits.memory}"
    await edge.kubectl("wait", "pod/plc9-0", f"--for={given}=192Mi", "--timeout=120s")

    after = await running_pod(edge, "plc9")
    assert program(after) == program(before)
