"""Changes of pods: replaced after a change of the spec, deleted by a person, changed in place, or cut off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller import names
from tests.cluster import nodes
from tests.cluster_e2e.pods import come_up, pod_of, program, report_as_multus, running_pod
from tests.support import image
from tests.support.cluster_site import ClusterSite
from tests.support.site import NAMESPACE, Site, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


async def test_a_runtime_on_a_disconnected_node_is_unknown_and_not_moved(
    site: ClusterSite, cluster: nodes.Cluster, controller: Site, multus_kind: None, parent: str
) -> None:
    pod = await come_up(site, controller, parent, "plc4")
    cut = cluster.nodes[0]
    cut.set_cable(plugged=False)
    try:
        await site.kubectl("wait", "runtime/plc4", "--for=condition=Ready=Unknown", "--timeout=120s")
        reported = (await site.get("runtime", "plc4"))["status"]["conditions"]
        kept = await pod_of(site, "plc4")
    finally:
        cut.set_cable(plugged=True)
    await site.kubectl("wait", "runtime/plc4", "--for=condition=Ready", "--timeout=120s")
    after = await pod_of(site, "plc4")

    assert {one["reason"] for one in reported if one["type"] == "Ready"} == {"NodeAway"}
    for seen in (kept, after):
        assert seen is not None
        assert seen["metadata"]["uid"] == pod["metadata"]["uid"]
        assert "deletionTimestamp" not in seen["metadata"]
    assert after is not None
    assert program(after) == program(pod)


async def test_a_deleted_pod_is_recreated_and_counted_as_a_restart(
    site: ClusterSite, controller: Site, multus_kind: None, parent: str
) -> None:
    pod = await come_up(site, controller, parent, "plc5")
    await controller.stop()
    await site.kubectl("delete", "pod", "plc5-0", "--wait")
    again = await running_pod(site, "plc5")
    await report_as_multus(site, again)
    await controller.start(connected=False)
    await site.kubectl("wait", "runtime/plc5", "--for=jsonpath={.status.restartCount}=1", "--timeout=90s")
    await site.kubectl("wait", "runtime/plc5", "--for=condition=Ready", "--timeout=90s")

    assert again["metadata"]["uid"] != pod["metadata"]["uid"]


async def test_a_changed_spec_replaces_the_pod_once(
    site: ClusterSite, controller: Site, multus_kind: None, parent: str
) -> None:
    pod = await come_up(site, controller, parent, "plc6")
    await site.kubectl("patch", "runtime", "plc6", "--type=merge", "-p", '{"spec":{"version":"2"}}')

    async def replaced() -> dict[str, Any] | None:
        found = await running_pod(site, "plc6")
        return found if found["metadata"]["uid"] != pod["metadata"]["uid"] else None

    new = await eventually(replaced, "another pod runs")
    await report_as_multus(site, new)
    await site.kubectl("wait", "runtime/plc6", "--for=jsonpath={.status.appliedGeneration}=2", "--timeout=90s")
    status = (await site.get("runtime", "plc6"))["status"]

    assert new["spec"]["containers"][0]["image"] == f"{image.REPOSITORY}:2"
    reported = [(record["event"], record["cause"]) for record in status["restarts"]]
    assert reported == [("Started", "Created"), ("Stopped", "SpecChanged"), ("Started", "SpecChanged")]
    assert (await running_pod(site, "plc6"))["metadata"]["uid"] == new["metadata"]["uid"]


async def test_a_runtime_can_be_changed_and_a_failing_version_is_rolled_back(
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


async def test_limits_change_without_a_restart(site: ClusterSite, controller: Site) -> None:
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
