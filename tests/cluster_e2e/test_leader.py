"""Two replicas of the leader on a real API: one cloud link, whichever replica dies, and each command runs once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from controller import names
from controller.api import reasons
from controller.cloud.commands.retirement import LINGER_SECONDS
from tests.support.edge_cluster import EdgeCluster
from tests.support.edge_host import AGENT, NAMESPACE, EdgeHost, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture
async def replicas(edge_cluster: EdgeCluster) -> dict[str, EdgeHost]:
    """Two replicas, both started; one of them is connected to the cloud."""
    made = {
        name: edge_cluster.process(name, "link,pods", EDGE_COMMAND_SECONDS="5") for name in ("leader-a", "leader-b")
    }
    for edge in made.values():
        await edge.start(connected=False)
    await edge_cluster.cloud.wait_agent(AGENT, timeout=60)
    return made


async def leader(replicas: dict[str, EdgeHost]) -> tuple[EdgeHost, EdgeHost]:
    """The replica with the cloud link, and the other one."""

    async def linked() -> list[str]:
        return [name for name, replica in replicas.items() if "Connected to https" in replica.log_text()]

    names = await eventually(linked, "one is connected")
    assert len(names) == 1, f"links: {names}"
    first, second = sorted(replicas, key=lambda name: name not in names)
    return replicas[first], replicas[second]


async def lease(edge: EdgeCluster) -> dict[str, Any]:
    """The leader's Lease."""
    spec: dict[str, Any] = (await edge.get("lease", "edge-controller"))["spec"]
    return spec


def unplaced(name: str) -> dict[str, Any]:
    """A Runtime of the cloud on a node that does not exist, so that no operator reconciles it."""
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {"getedge.me/origin": "cloud"}}
    spec = {"deviceId": name, "image": "registry.test/runtime", "nodeName": "elsewhere", "backend": "Docker"}
    return {"apiVersion": "getedge.me/v1alpha1", "kind": "Runtime", "metadata": metadata, "spec": spec}


async def test_one_replica_has_the_link_and_keeps_it(edge_cluster: EdgeCluster, replicas: dict[str, EdgeHost]) -> None:
    session = edge_cluster.cloud.agents.session(AGENT)
    for _ in range(3):
        await edge_cluster.cloud.next_heartbeat(AGENT, timeout=60)
    assert edge_cluster.cloud.agents.session(AGENT) is session
    await leader(replicas)


async def test_the_other_replica_connects_when_the_leader_is_killed(
    edge_cluster: EdgeCluster, replicas: dict[str, EdgeHost]
) -> None:
    first, second = await leader(replicas)
    await first.kill()
    await edge_cluster.cloud.wait_agent(AGENT, timeout=60)
    answer = await second.send("get_device_status", device_id="plc-1")
    assert answer["status"] == "not_found"
    assert "Connected to https" in second.log_text()


async def test_a_leader_that_stops_releases_the_lease(edge_cluster: EdgeCluster, replicas: dict[str, EdgeHost]) -> None:
    first, second = await leader(replicas)
    before, session = await lease(edge_cluster), await edge_cluster.cloud.wait_agent(AGENT)
    assert await first.stop() == 0
    await asyncio.wait_for(session.gone.wait(), 30)
    await edge_cluster.cloud.wait_agent(AGENT, timeout=60)
    after = await lease(edge_cluster)
    assert after["leaseTransitions"] == before["leaseTransitions"] + 1
    assert after["holderIdentity"] != before["holderIdentity"]
    assert await second.stop() == 0
    assert not (await lease(edge_cluster)).get("holderIdentity")


async def test_a_command_in_flight_runs_once_when_the_leader_is_killed(
    edge_cluster: EdgeCluster, replicas: dict[str, EdgeHost]
) -> None:
    first, _ = await leader(replicas)
    await edge_cluster.apply(unplaced("plc-1"), manager=names.FIELD_MANAGER)
    restart = first.message("restart_device", device_id="plc-1")
    sending = asyncio.create_task(edge_cluster.cloud.send(AGENT, "restart_device", restart, timeout=60))

    async def written() -> str | None:
        found = await edge_cluster.get("runtime", "plc-1")
        token: str | None = found["spec"].get("restartedAt")
        return token

    token = await eventually(written, "the restart is in the spec")
    await first.kill()
    await asyncio.gather(sending, return_exceptions=True)
    await edge_cluster.cloud.wait_agent(AGENT, timeout=60)
    again = await edge_cluster.cloud.send(AGENT, "restart_device", restart, timeout=60)
    assert "the change stays in effect" in again["error"]  # no operator runs here, but the command was resumed
    found = await edge_cluster.get("runtime", "plc-1")
    assert found["spec"]["restartedAt"] == token
    assert found["metadata"]["generation"] == 2  # once
    assert (await edge_cluster.kubectl("get", "rtc", "-o", "name")).count("restart-device") == 1
    assert again == await edge_cluster.cloud.send(AGENT, "restart_device", restart, timeout=60)


async def test_a_leader_that_lost_its_lease_has_no_link(
    edge_cluster: EdgeCluster, replicas: dict[str, EdgeHost]
) -> None:
    usurped = {"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 3600}}
    await edge_cluster.kubectl("patch", "lease/edge-controller", "--type=merge", "-p", json.dumps(usurped))

    async def without_link() -> bool:
        return edge_cluster.cloud.agents.session(AGENT) is None

    await eventually(without_link, "the link is closed")
    await edge_cluster.kubectl("delete", "lease/edge-controller")
    await edge_cluster.cloud.wait_agent(AGENT, timeout=60)


@pytest.mark.timeout(420)
async def test_a_retired_agent_stays_disconnected_until_it_is_reset(
    edge_cluster: EdgeCluster, replicas: dict[str, EdgeHost]
) -> None:
    first, second = await leader(replicas)
    answer = await first.send("delete_orchestrator")
    assert answer["status"] == "accepted"

    async def retired() -> bool:
        found = await edge_cluster.get("configmap", "edge-controller")
        return "retired" in found["data"] and edge_cluster.cloud.agents.session(AGENT) is None

    # The link is closed after LINGER_SECONDS, which starts again if the leader changes meanwhile.
    await eventually(retired, "the agent is retired", seconds=2 * LINGER_SECONDS + 90)
    await first.stop()
    # A node added now gets its condition from the other replica, once that leads.
    node = {"apiVersion": "getedge.me/v1alpha1", "kind": "EdgeNode", "metadata": {"name": "later"}, "spec": {}}
    await edge_cluster.apply(node)

    async def reason() -> str | None:
        conditions = (await edge_cluster.get("edgenode", "later")).get("status", {}).get("conditions", [])
        return next((found["reason"] for found in conditions if found["type"] == names.CLOUD_CONNECTED), None)

    assert await eventually(reason, "the other leads") == reasons.RETIRED
    assert edge_cluster.cloud.agents.session(AGENT) is None
    await second.stop()
    assert "active again" in await edge_cluster.run("reset")
    await second.start()
