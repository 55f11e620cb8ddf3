"""The objects of a Runtime in a cluster: names, pod template, Service, and requests to Multus. No cluster needed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from controller import errors, names
from controller.api import reasons, runtimes
from controller.backends import base
from controller.backends.base import Identity, Target
from controller.backends.pods import manifests, multus, naming, unsupported
from controller.network import addresses

IDENTITY = Identity("install", "edge", "plc1")
STATIC = {
    "name": "lan0",
    "parentInterface": "eth1",
    "mode": "Static",
    "address": "192.168.7.50",
    "subnet": "192.168.7.0/24",
    "gateway": "192.168.7.1",
}
DYNAMIC = {"name": "lan1", "parentInterface": "eth2", "mode": "Dhcp"}


def target(device: str = "plc1", *, macs: dict[str, str] | None = None, **spec: Any) -> Target:
    fields = {"deviceId": device, "image": "registry.test/plc", "version": "1", **spec}
    identity = Identity("install", "edge", device)
    return Target(identity, device, "uid-1", 3, runtimes.RuntimeSpec.model_validate(fields), mac_addresses=macs or {})


def pod_spec(**spec: Any) -> dict[str, Any]:
    made: dict[str, Any] = manifests.template(target(**spec), "registry.test/plc@sha256:1")["spec"]
    return made


@pytest.mark.parametrize(
    "device",
    ["plc1", "PLC.1", "9lives", "a_b", "x" * 128, "Z" * 128, "a.", "a-", "Ä".encode().hex(), "edge-" + "y" * 45],
)
def test_every_device_id_maps_to_a_valid_name_of_service_and_stateful_set(device: str) -> None:
    name = naming.workload(Identity("install", "edge", device))

    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    # The label with a pod's revision contains the StatefulSet's name and a hash of at most eleven characters.
    assert len(name) + 11 <= 63


def test_valid_device_ids_are_used_as_names_and_names_are_unique() -> None:
    devices = ["plc1", "plc-1", "plc_1", "PLC-1", "plc.1", "p" * 60, "p" * 61]
    found = [naming.workload(Identity("install", "edge", device)) for device in devices]

    assert found[:2] == ["plc1", "plc-1"]
    assert len(set(found)) == len(devices)


@pytest.mark.parametrize("device", ["plc1", "x" * 128, "a.", "_a"])
def test_labels_are_valid_and_annotations_hold_the_full_identity(device: str) -> None:
    identity = Identity("install", "edge", device)
    body = {"metadata": {"labels": naming.labels(identity), "annotations": naming.identity_annotations(identity)}}

    for value in naming.labels(identity).values():
        assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value)
    assert naming.identity_of(body, "install") == identity
    assert naming.identity_of(body, "another") is None


def test_a_static_interface_is_a_macvlan_with_its_address_and_mac_pinned_on_the_plugin_itself() -> None:
    fields = target(interfaces=[STATIC])
    (definition,) = multus.definitions(fields)
    config = json.loads(definition["spec"]["config"])
    (asked,) = json.loads(multus.networks(fields)[multus.NETWORKS])

    assert config["plugins"] == [
        {
            "type": "macvlan",
            "master": "eth1",
            "mode": "bridge",
            "capabilities": {"ips": True, "mac": True},
            "ipam": {"type": "static"},
        }
    ]
    assert asked == {
        "name": definition["metadata"]["name"],
        "namespace": "edge",
        "interface": "lan0",
        "ips": ["192.168.7.50/24"],
        "mac": addresses.derived_mac("install", "edge", "plc1", "lan0"),
        "default-route": ["192.168.7.1"],
    }


def test_an_interface_with_dhcp_requests_no_address_and_gets_its_mac_before_the_lease() -> None:
    fields = target(interfaces=[DYNAMIC])
    (plugin,) = json.loads(multus.definitions(fields)[0]["spec"]["config"])["plugins"]
    (asked,) = json.loads(multus.networks(fields)[multus.NETWORKS])

    assert plugin["ipam"] == {"type": "dhcp"}
    assert plugin["capabilities"] == {"mac": True}
    assert set(asked) == {"name", "namespace", "interface", "mac"}


@pytest.mark.parametrize(
    ("interface", "known", "expected"),
    [
        ({**STATIC, "macAddress": "02:AA:00:00:00:01"}, {}, "02:aa:00:00:00:01"),
        (STATIC, {"lan0": "02:bb:00:00:00:01"}, "02:bb:00:00:00:01"),
        ({**STATIC, "macAddress": "02:AA:00:00:00:01"}, {"lan0": "02:bb:00:00:00:01"}, "02:aa:00:00:00:01"),
    ],
    ids=["from the spec", "from the target", "the spec wins"],
)
def test_a_known_mac_address_is_kept(interface: dict[str, Any], known: dict[str, str], expected: str) -> None:
    (asked,) = json.loads(multus.networks(target(interfaces=[interface], macs=known))[multus.NETWORKS])
    assert asked["mac"] == expected


def test_another_configuration_gets_another_definition() -> None:
    (first,) = multus.definitions(target(interfaces=[STATIC]))
    (moved,) = multus.definitions(target(interfaces=[{**STATIC, "parentInterface": "eth9"}]))
    (readdressed,) = multus.definitions(target(interfaces=[{**STATIC, "address": "192.168.7.51"}]))

    assert first["metadata"]["name"] != moved["metadata"]["name"]
    assert first["metadata"]["name"] == readdressed["metadata"]["name"]


def seen(spec: dict[str, Any], status_list: list[dict[str, Any]], *, running: bool = True) -> Any:
    fields = target(interfaces=[spec])
    notes = {**multus.networks(fields), multus.NETWORK_STATUS: json.dumps(status_list)}
    (found,) = multus.interfaces(fields.spec, notes, running=running)
    return found


MAC = addresses.derived_mac("install", "edge", "plc1", "lan0")
REPORTED = {"name": "edge/lan", "interface": "lan0", "ips": ["192.168.7.50"], "mac": MAC}


@pytest.mark.parametrize(
    ("status_list", "in_order", "detail"),
    [
        ([{"name": "pods", "ips": ["10.42.0.7"]}, REPORTED], True, ""),
        ([{**REPORTED, "ips": ["192.168.7.99"]}], False, "it has 192.168.7.99"),
        ([{"name": "pods", "ips": ["10.42.0.7"]}], False, "Multus does not report it: check that"),
    ],
    ids=["as requested", "another address", "no Multus on the node"],
)
def test_interfaces_are_those_that_multus_reports_for_the_running_pod(
    status_list: list[dict[str, Any]], in_order: bool, detail: str
) -> None:
    found = seen(STATIC, status_list)

    assert (found.in_order, found.mac_address) == (in_order, MAC)
    assert found.detail.startswith(detail)


def test_an_interface_with_dhcp_has_the_reported_address() -> None:
    found = seen({**DYNAMIC, "name": "lan0"}, [{**REPORTED, "ips": ["192.168.7.60/24"]}])

    assert (found.address, found.in_order) == ("192.168.7.60", True)


def test_a_pod_is_neither_evicted_nor_killed_by_a_probe() -> None:
    made = pod_spec()
    (container,) = made["containers"]

    assert container["readinessProbe"]["tcpSocket"] == {"port": 8443}
    assert not {"livenessProbe", "startupProbe"} & set(container)
    assert {(t["key"], t["effect"], "tolerationSeconds" in t) for t in made["tolerations"]} == {
        ("node.kubernetes.io/not-ready", "NoExecute", False),
        ("node.kubernetes.io/unreachable", "NoExecute", False),
    }


def test_realtime_is_two_capabilities_and_nothing_is_privileged() -> None:
    (plain,) = pod_spec()["containers"]
    (realtime,) = pod_spec(realtime={"enabled": True})["containers"]

    assert plain["securityContext"] == {"allowPrivilegeEscalation": False}
    assert realtime["securityContext"]["capabilities"] == {"add": ["IPC_LOCK", "SYS_NICE"]}
    assert "privileged" not in realtime["securityContext"]


def test_the_qos_class_does_not_depend_on_limits() -> None:
    (unlimited,) = pod_spec()["containers"]
    (limited,) = pod_spec(resources={"cpu": "500m", "memory": "64Mi"})["containers"]

    assert limited["resources"]["limits"] == {"cpu": "500m", "memory": "64Mi"}
    assert "limits" not in unlimited["resources"]
    assert limited["resources"]["requests"] == unlimited["resources"]["requests"]


def test_a_runtime_with_a_node_runs_there_and_nowhere_else() -> None:
    terms = pod_spec(nodeName="node2")["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]

    assert terms == {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node2"]}]}]
    }
    assert "affinity" not in pod_spec()


def test_name_servers_of_the_spec_replace_those_of_the_cluster() -> None:
    assert pod_spec(interfaces=[{**STATIC, "dns": ["192.168.7.2"]}])["dnsConfig"] == {"nameservers": ["192.168.7.2"]}
    assert pod_spec()["dnsPolicy"] == "ClusterFirst"


def test_a_changed_template_restarts_nothing_and_the_runtime_owns_everything_but_its_volumes() -> None:
    fields = target(volumes=[{"name": "data", "mountPath": "/data"}])
    workload, service = manifests.stateful_set(fields, "image"), manifests.service(fields)
    (claim,) = manifests.claims(fields)

    assert workload["spec"]["updateStrategy"] == {"type": "OnDelete"}
    for owned in (workload, service):
        (owner,) = owned["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("Runtime", "plc1", "uid-1", True)
    assert "ownerReferences" not in claim["metadata"]


def test_the_service_exposes_the_control_port_of_the_pod() -> None:
    fields = target("PLC.1", controlPort={"port": 9000})
    service, pod = manifests.service(fields), manifests.template(fields, "image")
    (container,) = pod["spec"]["containers"]

    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [(9000, 9000)]
    assert (container["ports"][0]["containerPort"], container["readinessProbe"]["tcpSocket"]["port"]) == (9000, 9000)
    assert manifests.serves(fields, service)
    assert not manifests.serves(target("PLC.1"), service)


def test_a_pod_gets_references_to_secrets() -> None:
    reference = {"name": "plc", "key": "password"}
    references = [{"secretKeyRef": reference}, {"secretKeyRef": {**reference, "optional": True}}]
    fields = [{"name": f"V{number}", "valueFrom": each} for number, each in enumerate(references)]
    (container,) = pod_spec(env=[*fields, {"name": "MODE", "value": "run"}])["containers"]
    assert container["env"] == [*fields, {"name": "MODE", "value": "run"}]


def test_a_pod_records_its_spec_and_image() -> None:
    fields = target(env=[{"name": "MODE", "value": "run"}])
    notes = manifests.template(fields, "pin")["metadata"]["annotations"]

    assert base.made_from(notes) == fields.spec
    assert (notes[names.IMAGE_LABEL], notes[names.IMAGE_SOURCE_LABEL]) == ("pin", "registry.test/plc:1")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"serialPorts": [{"name": "a", "deviceId": "usb-1", "containerPath": "/dev/a"}]}, reasons.DEVICES_UNSUPPORTED),
        ({"dedicatedInterface": "eth5"}, reasons.SPEC_IMPOSSIBLE),
    ],
    ids=["serial devices", "a dedicated interface"],
)
def test_unsupported_features_are_refused(spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(errors.Stalled) as refused:
        unsupported.refuse(target(**spec).spec)

    assert refused.value.reason == reason
