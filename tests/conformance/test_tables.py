"""Tables: columns and rows of Kubernetes' own kinds in ``kubectl get`` and ``-o wide``."""

from __future__ import annotations

import pytest

from tests.conformance.conftest import Api, Session

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
EVENT_COLUMNS = "Last Seen,Type,Reason,Object,Subobject*,Source*,Message,First Seen*,Count*,Name*"
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node-1", "labels": {"node-role.kubernetes.io/edge": ""}},
    "spec": {"unschedulable": True},
    "status": {
        "addresses": [{"type": "InternalIP", "address": "192.0.2.7"}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "nodeInfo": {
            **dict.fromkeys(("machineID", "systemUUID", "bootID", "architecture", "operatingSystem"), "x"),
            "kernelVersion": "6.1",
            "osImage": "Debian",
            "containerRuntimeVersion": "docker://29",
            "kubeletVersion": "v1.35.4",
            "kubeProxyVersion": "",
        },
    },
}


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        ("/api/v1/configmaps", "Name,Data,Age"),
        ("/api/v1/secrets", "Name,Type,Data,Age"),
        ("/api/v1/serviceaccounts", "Name,Age"),
        ("/api/v1/namespaces", "Name,Status,Age"),
        ("/api/v1/services", "Name,Type,Cluster-IP,External-IP,Port(s),Age,Selector*"),
        (
            "/api/v1/nodes",
            "Name,Status,Roles,Age,Version,Internal-IP*,External-IP*,OS-Image*,Kernel-Version*,Container-Runtime*",
        ),
        ("/api/v1/events", EVENT_COLUMNS),
        ("/apis/events.k8s.io/v1/events", EVENT_COLUMNS),
        ("/apis/coordination.k8s.io/v1/leases", "Name,Holder,Age"),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "Name,Created At"),
        ("/apis/test.getedge.me/v1/widgets", "Name,Size,Ready,Age,Color*"),
    ],
)
async def test_each_kind_has_its_columns(api: Api, path: str, columns: str) -> None:
    async with Session(api) as (http, url), http.get(url + path, headers=TABLE) as answer:
        found = (await answer.json())["columnDefinitions"]
    assert ",".join(column["name"] + "*" * column["priority"] for column in found) == columns


async def test_a_node_shows_its_status_and_versions(api: Api) -> None:
    for options in ((), ("--subresource=status",)):
        await api.kubectl("apply", "--server-side", *options, "-f", "-", stdin=NODE)
    header, row = (await api.kubectl("get", "nodes", "node-1", "-o", "wide")).splitlines()
    assert header.split()[:5] == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    cells = row.split()
    assert cells[:3] == ["node-1", "Ready,SchedulingDisabled", "edge"]
    assert cells[4:] == ["v1.35.4", "192.0.2.7", "<none>", "Debian", "6.1", "docker://29"]


async def test_config_maps_and_secrets_show_the_number_of_their_keys(api: Api) -> None:
    await api.kubectl("create", "configmap", "settings", "--from-literal=a=1", "--from-literal=b=2")
    await api.kubectl("create", "secret", "generic", "key", "--from-literal=a=1")
    for kind, cells in (("configmap/settings", ["settings", "2"]), ("secret/key", ["key", "Opaque", "1"])):
        _, row = (await api.kubectl("get", kind)).splitlines()
        assert row.split()[: len(cells)] == cells


async def test_an_event_shows_its_source_and_subobject(api: Api) -> None:
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "one.1"},
        "involvedObject": {"kind": "Widget", "name": "one", "namespace": "edge", "fieldPath": "spec.size"},
        "firstTimestamp": "2020-01-01T00:00:00Z",
        "lastTimestamp": "2020-01-01T00:00:00Z",
        "source": {"component": "polisher", "host": "node-1"},
        "type": "Warning",
        "reason": "Dull",
        "message": "no shine\n",
        "count": 3,
    }
    await api.kubectl("create", "-f", "-", stdin=event)
    _, row = (await api.kubectl("get", "events", "-o", "wide")).splitlines()
    seen, *cells, _first_seen, count, name = row.split()
    assert seen.endswith("d") or "y" in seen
    assert cells == ["Warning", "Dull", "widget/one", "spec.size", "polisher,", "node-1", "no", "shine"]
    assert (count, name) == ("3", "one.1")
