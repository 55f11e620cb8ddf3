"""Built-in kinds: secrets, events of both groups, leases, strategic merge patches."""

from __future__ import annotations

import asyncio
from typing import Any

from kubernetes import client

from tests.conformance.conftest import Api


async def test_string_data_of_a_secret_is_stored_encoded(api: Api) -> None:
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"token": "secret"}}
    await api.kubectl("apply", "-f", "-", stdin=manifest)
    found = await api.get("secret", "key")
    assert (found["data"], found["type"], "stringData" in found) == ({"token": "c2VjcmV0"}, "Opaque", False)


async def test_a_strategic_patch_merges_lists_by_their_key(api: Api) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "robot", "finalizers": ["test.getedge.me/hold"]},
        "secrets": [{"name": "one"}],
        "imagePullSecrets": [{"name": "one"}],
    }
    await api.kubectl("apply", "-f", "-", stdin=manifest)
    await api.kubectl("patch", "sa", "robot", "-p", '{"secrets":[{"name":"two"}],"imagePullSecrets":[{"name":"two"}]}')
    await api.kubectl("patch", "sa", "robot", "-p", '{"secrets":[{"name":"one","$patch":"delete"}]}')
    drop = '{"metadata":{"$deleteFromPrimitiveList/finalizers":["test.getedge.me/hold"]}}'
    await api.kubectl("patch", "sa", "robot", "-p", drop)
    found = await api.get("sa", "robot")
    assert (found["secrets"], found["imagePullSecrets"]) == ([{"name": "two"}], [{"name": "two"}])
    assert not found["metadata"].get("finalizers")


async def test_apply_changes_and_removes_keys_of_a_config_map(api: Api) -> None:
    for data in ({"a": "1", "b": "2"}, {"a": "3"}):
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}
        await api.kubectl("apply", "-f", "-", stdin=manifest)
    assert (await api.get("configmap", "settings"))["data"] == {"a": "3"}


async def test_events_of_both_groups_are_the_same_objects(api: Api) -> None:
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "one-", "namespace": "edge"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "regarding": {"apiVersion": "test.getedge.me/v1", "kind": "Widget", "name": "one", "namespace": "edge"},
        "type": "Normal",
        "reason": "Polished",
        "note": "It shines",
        "reportingController": "tests",
        "reportingInstance": "tests-1",
        "action": "Polish",
    }
    await api.kubectl("create", "-f", "-", stdin=event)
    (core,) = (await api.get("events.v1."))["items"]
    assert (core["involvedObject"]["name"], core["message"]) == ("one", "It shines")
    (new,) = (await api.get("events.v1.events.k8s.io"))["items"]
    assert (new["apiVersion"], new["regarding"]["name"], new["note"]) == ("events.k8s.io/v1", "one", "It shines")
    assert "It shines" in await api.kubectl("events", "--for", "widget/one")
    for name in ("events.v1.", "events.v1.events.k8s.io"):
        _, row = (await api.kubectl("get", name)).splitlines()
        assert row.split()[1:] == ["Normal", "Polished", "widget/one", "It", "shines"]


async def test_only_one_of_many_candidates_acquires_the_lease(api: Api) -> None:
    leases = client.CoordinationV1Api(api.client())
    body = client.V1Lease(metadata={"name": "leader"}, spec=client.V1LeaseSpec(lease_duration_seconds=15))
    made = await asyncio.to_thread(leases.create_namespaced_lease, "edge", body)

    def take(candidate: str) -> int:
        lease = client.V1Lease(
            metadata=made.metadata, spec=client.V1LeaseSpec(holder_identity=candidate, lease_duration_seconds=15)
        )
        try:
            leases.replace_namespaced_lease("leader", "edge", lease)
        except client.ApiException as refused:
            return int(refused.status)
        return 200

    answers = await asyncio.gather(*(asyncio.to_thread(take, f"candidate-{n}") for n in range(8)))
    assert sorted(answers) == [200] + [409] * 7


async def test_the_kubernetes_client_reads_what_it_wrote(api: Api) -> None:
    core = client.CoreV1Api(api.client())
    body = client.V1Secret(metadata={"name": "key"}, string_data={"a": "b"})
    await asyncio.to_thread(core.create_namespaced_secret, "edge", body)
    assert (await asyncio.to_thread(core.read_namespaced_secret, "key", "edge")).data == {"a": "Yg=="}
    gone: Any = await asyncio.to_thread(core.delete_namespaced_secret, "key", "edge")
    assert gone["status"] == "Success"


async def test_health_and_version_are_readable(api: Api) -> None:
    assert await api.kubectl("get", "--raw", "/readyz") == "ok"
    assert '"gitVersion"' in await api.kubectl("get", "--raw", "/version")
