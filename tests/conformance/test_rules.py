"""Validation of our own kinds by their schemas and CEL rules, with the messages that users see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from controller import errors
from controller.api import kinds
from controller.machinery import endpoint
from controller.machinery.client import ApiClient
from tests.conformance.conftest import Api

FROM_SECRET = {"secretKeyRef": {"name": "plc", "key": "password"}}
INTERFACE = {
    "name": "lan0",
    "parentInterface": "eth0",
    "mode": "Static",
    "address": "10.0.0.5",
    "subnet": "10.0.0.0/24",
}
PORT = {"name": "line", "deviceId": "usb-plc"}
ODD_PATHS = [
    *(
        (path, "must not contain '.', '..'")
        for path in ("/..", "/a/../b", "/a/./b", "/a/..", "/a//b", "//", "/a\0", "/a\n", "/a\x7f")
    ),
    *((path, "must not be below /proc or /sys") for path in ("/proc", "/proc/", "/sys/fs/cgroup", "/proc/x")),
]
COMMAND = {"topic": "start_device", "receivedAt": "2026-01-01T00:00:00Z"}


@pytest.fixture
async def person(api: Api) -> AsyncIterator[ApiClient]:
    """An administrator's client."""
    client = ApiClient(await endpoint.from_kubeconfig(api.kubeconfig))
    yield client
    await client.close()


def runtime(**spec: Any) -> dict[str, Any]:
    """A Runtime with these fields."""
    return {
        "metadata": {"name": "plc-1", "namespace": "edge"},
        "spec": {"deviceId": "plc-1", "image": "registry.test/runtime", **spec},
    }


def without(mapping: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The mapping without these keys."""
    return {key: value for key, value in mapping.items() if key not in keys}


@pytest.mark.parametrize(
    ("spec", "field", "part"),
    [
        ({"deviceId": None}, "spec.deviceId", "Required value"),
        ({"deviceId": "a/b"}, "spec.deviceId", "Invalid value"),
        ({"deviceId": "x" * 129}, "spec.deviceId", "128"),
        ({"image": ""}, "spec.image", "Invalid value"),
        ({"version": "a b"}, "spec.version", "Invalid value"),
        ({"digest": "sha256:1"}, "spec.digest", "Invalid value"),
        ({"desiredState": "Paused"}, "spec.desiredState", "Unsupported value"),
        ({"backend": "Podman"}, "spec.backend", "Unsupported value"),
        ({"terminationGracePeriodSeconds": 601}, "spec.terminationGracePeriodSeconds", "600"),
        ({"controlPort": {"port": 0}}, "spec.controlPort.port", "1"),
        ({"resources": {"memory": "much"}}, "spec.resources.memory", "Invalid value"),
        ({"interfaces": [INTERFACE] * 2}, "spec.interfaces[1]", "Duplicate value"),
        ({"interfaces": [{**INTERFACE, "name": f"lan{i}"} for i in range(9)]}, "spec.interfaces", "8"),
        ({"interfaces": [without(INTERFACE, "parentInterface")]}, "parentInterface", "Required value"),
        ({"interfaces": [without(INTERFACE, "address")]}, "spec.interfaces[0]", "address and subnet are required"),
        ({"interfaces": [without(INTERFACE, "subnet")]}, "spec.interfaces[0]", "address and subnet are required"),
        ({"interfaces": [without(INTERFACE, "mode")]}, "spec.interfaces[0]", "address is not allowed with mode Dhcp"),
        ({"interfaces": [{**INTERFACE, "address": "10.0.0.256"}]}, "address", "Invalid value"),
        ({"interfaces": [{**INTERFACE, "subnet": "10.0.0.0"}]}, "subnet", "Invalid value"),
        ({"interfaces": [{**INTERFACE, "macAddress": "01:00:5e:00:00:01"}]}, "macAddress", "Invalid value"),
        ({"interfaces": [{**INTERFACE, "dns": ["10.0.0.1"] * 4}]}, "dns", "3"),
        (
            {"volumes": [{"name": "a", "mountPath": "/data"}, {"name": "b", "mountPath": "/data"}]},
            "spec",
            "mountPath must be unique in volumes",
        ),
        ({"volumes": [{"name": "a", "mountPath": "data"}]}, "mountPath", "Invalid value"),
        *(({"volumes": [{"name": "a", "mountPath": path}]}, "spec.volumes[0]", part) for path, part in ODD_PATHS),
        ({"volumes": [{"name": "a", "mountPath": "/dev/"}]}, "spec.volumes[0]", "must not be /dev itself"),
        *(({"serialPorts": [{**PORT, "containerPath": path}]}, "serialPorts[0]", part) for path, part in ODD_PATHS),
        ({"env": [{"name": "A", "value": "a\0b"}]}, "spec.env[0]", "must not contain a null character"),
        ({"env": [{"name": "A=B", "value": "c"}]}, "spec.env[0].name", "Invalid value"),
        ({"env": [{"name": "A", "value": 1}]}, "spec.env[0].value", "string"),
        (
            {"env": [{"name": "A", "value": "b", "valueFrom": FROM_SECRET}]},
            "spec.env[0]",
            "value and valueFrom are",
        ),
        ({"env": [{"name": "A", "valueFrom": {}}]}, "spec.env[0].valueFrom.secretKeyRef", "Required value"),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "b"}}}]}, "secretKeyRef.key", "Required value"),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "b", "key": "/"}}}]}, "key", "Invalid value"),
    ],
)
async def test_an_invalid_runtime_is_rejected_with_the_field(
    person: ApiClient, spec: dict[str, Any], field: str, part: str
) -> None:
    body = runtime(**spec)
    body["spec"] = {key: value for key, value in body["spec"].items() if value is not None}
    with pytest.raises(errors.InvalidError) as raised:
        await person.create(kinds.RUNTIMES, body)
    assert field in str(raised.value)
    assert part in str(raised.value)


async def test_a_variable_can_come_from_a_secret(person: ApiClient) -> None:
    made = await person.create(kinds.RUNTIMES, runtime(env=[{"name": "A", "valueFrom": FROM_SECRET}]))
    assert made["spec"]["env"][0]["valueFrom"]["secretKeyRef"].items() >= FROM_SECRET["secretKeyRef"].items()


async def test_unusual_but_valid_paths_and_values_are_accepted(person: ApiClient) -> None:
    paths = ["/data/", "/.config", "/a..b/...", "/process", "/dev/shm", "/system, data", "/système"]
    volumes = [{"name": f"v{number}", "mountPath": path} for number, path in enumerate(paths)]
    ports = [{**PORT, "name": f"p{number}", "containerPath": path} for number, path in enumerate(paths)]
    env = [{"name": f"A{number}", "value": "\t\u0080\n" + "x" * 4093} for number in range(64)]
    made = await person.create(kinds.RUNTIMES, runtime(volumes=volumes, serialPorts=ports, env=env))
    assert [volume["mountPath"] for volume in made["spec"]["volumes"]] == paths


async def test_a_runtime_requires_only_a_device_id_and_an_image(person: ApiClient) -> None:
    made = await person.create(kinds.RUNTIMES, runtime())
    assert made["spec"]["desiredState"] == "Running"
    assert made["spec"]["controlPort"] == {"port": 8443, "scheme": "https"}
    assert "status" not in made


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"deviceId": "plc-2"}, "deviceId is immutable"),
        ({"backend": "Pod"}, "backend is immutable once set"),
        ({"backend": None}, "backend is immutable once set"),
        ({"nodeName": "other"}, "nodeName is immutable once set"),
        ({"nodeName": None}, "nodeName is immutable once set"),
    ],
)
async def test_identity_and_placement_of_a_runtime_are_immutable(
    person: ApiClient, change: dict[str, Any], part: str
) -> None:
    await person.create(kinds.RUNTIMES, runtime(backend="Docker", nodeName="node-1"))
    with pytest.raises(errors.InvalidError, match=part):
        await person.patch(kinds.RUNTIMES, "plc-1", "edge", {"spec": change})


async def test_backend_and_node_may_be_set_once_later(person: ApiClient) -> None:
    await person.create(kinds.RUNTIMES, runtime())
    desired = {"backend": "Docker", "nodeName": "node-1"}
    changed = await person.patch(kinds.RUNTIMES, "plc-1", "edge", {"spec": desired})
    assert desired.items() <= changed["spec"].items()


async def test_runtimes_are_selected_by_node_backend_and_device_id(person: ApiClient) -> None:
    await person.create(kinds.RUNTIMES, runtime(backend="Docker", nodeName="node-1"))
    for selector in ("spec.nodeName=node-1,spec.backend=Docker", "spec.deviceId=plc-1"):
        assert len(await person.list(kinds.RUNTIMES, field_selector=selector)) == 1
    assert await person.list(kinds.RUNTIMES, field_selector="spec.nodeName=node-2") == []


async def test_the_spec_of_a_command_is_immutable(person: ApiClient) -> None:
    await person.create(kinds.RUNTIME_COMMANDS, {"metadata": {"name": "c", "namespace": "edge"}, "spec": COMMAND})
    with pytest.raises(errors.InvalidError, match="spec is immutable"):
        await person.patch(kinds.RUNTIME_COMMANDS, "c", "edge", {"spec": {"topic": "stop_device"}})
    await person.patch(kinds.RUNTIME_COMMANDS, "c", "edge", {"status": {"outcome": "Succeeded"}}, subresource="status")
