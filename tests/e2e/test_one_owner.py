"""Two Runtimes with one deviceId, as users and GitOps tools create them: a warning, a reason, and a handover."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.edge_host import EdgeHost
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]


def manifest(edge: EdgeHost, lan: Lan, name: str, namespace: str = "edge") -> str:
    """The manifest of a Runtime with deviceId plc-1."""
    interface = {"name": "lan0", "parentInterface": lan.parent, "mode": "Static", "address": lan.address(60)}
    spec = {
        "deviceId": "plc-1",
        "image": edge.environment["EDGE_RUNTIME_IMAGE"],
        "version": "1",
        "interfaces": [interface | {"subnet": str(lan.subnet), "gateway": lan.gateway}],
    }
    return json.dumps(
        {
            "apiVersion": "getedge.me/v1alpha1",
            "kind": "Runtime",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }
    )


async def apply(edge: EdgeHost, text: str) -> str:
    """Apply the manifest and return kubectl's output."""
    return await edge.kubectl("apply", "-f", "-", stdin=text, check=False)


async def test_a_renamed_runtime_takes_over_the_container_without_a_restart(
    edge: EdgeHost, lan: Lan, docker_api: Any
) -> None:
    assert "Warning" not in await apply(edge, manifest(edge, lan, "old"))
    await edge.wait_condition("old", "Ready")
    before = docker_api.inspect_container("plc-1")

    output = await apply(edge, manifest(edge, lan, "new"))
    assert "Warning: Runtime old already has deviceId plc-1" in output
    await edge.wait_condition("new", "Stalled")
    reasons = {c["type"]: c["reason"] for c in (await edge.runtime("new"))["status"]["conditions"]}
    assert reasons["Stalled"] == "DeviceIdTaken"
    assert (await edge.status("plc-1"))["is_running"]

    await edge.kubectl("delete", "runtime", "old")
    await edge.wait_condition("new", "Ready")
    after = docker_api.inspect_container("plc-1")
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert (await edge.runtime("new"))["status"]["startedAt"] == before["State"]["StartedAt"]
    assert await asyncio.to_thread(lan.ping, lan.address(60))

    await edge.kill()
    await edge.start()
    await apply(edge, manifest(edge, lan, "third"))
    await edge.wait_condition("third", "Stalled")
    await edge.kubectl("delete", "runtime", "third")
    assert docker_api.inspect_container("plc-1")["State"]["StartedAt"] == before["State"]["StartedAt"]
    await edge.kubectl("delete", "runtime", "new")
    assert docker_api.containers(all=True, filters={"name": "plc-1"}) == []


async def test_a_duplicate_device_id_in_another_namespace_names_the_owner(
    edge: EdgeHost, lan: Lan, docker_api: Any
) -> None:
    await apply(edge, manifest(edge, lan, "first"))
    await edge.wait_condition("first", "Ready")
    before = docker_api.inspect_container("plc-1")["State"]["StartedAt"]
    await edge.kubectl("create", "namespace", "cell2")

    output = await apply(edge, manifest(edge, lan, "second", "cell2"))
    assert "Warning: Runtime edge/first also has deviceId plc-1" in output
    await edge.kubectl("wait", "-n", "cell2", "runtime/second", "--for=condition=Stalled", "--timeout=60s")
    message = json.loads(await edge.kubectl("get", "-n", "cell2", "runtime", "second", "-o", "json"))["status"]["error"]
    assert message.startswith("Runtime edge/first owns the container plc-1")
    await edge.kubectl("delete", "-n", "cell2", "runtime", "second")
    assert docker_api.inspect_container("plc-1")["State"]["StartedAt"] == before
