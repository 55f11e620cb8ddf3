"""Request bodies and labels of containers."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import pytest

from controller.api import runtimes
from controller.backends import base
from controller.backends.base import Identity, Target
from controller.backends.docker.containers import create_body, labels, rights
from controller.backends.docker.devices import cgroup_rules
from controller.backends.docker.engine.capabilities import Capabilities
from controller.devices.serial_device import SerialDevice
from controller.network import desired_interface

IDENTITY = Identity("install", "edge", "plc1")


def target(**spec: Any) -> Target:
    """A target."""
    fields = {"deviceId": "plc1", "image": "plc", **spec}
    return Target(IDENTITY, "plc1", "uid", 1, runtimes.RuntimeSpec.model_validate(fields))


def lan(name: str, **more: Any) -> dict[str, Any]:
    """The spec of an interface."""
    fixed = {"name": name, "parentInterface": "eth0", "mode": "Static", "address": "10.1.0.2", "subnet": "10.1.0.0/24"}
    return {**fixed, **more}


def body(desired: Target, version: str, *, has_ipv6: bool = True) -> dict[str, Any]:
    """The body that creates a container with its first interface on a LAN network."""
    desired_interfaces = create_body.desired_interfaces(desired, {})
    connected = {"edge-lan-x": desired_interfaces[0]}
    provenance = labels.ContainerProvenance("plc@sha256:1", "plc:1", {})
    return create_body.body(
        desired,
        provenance,
        connected,
        Capabilities.of(version),
        rights.at_creation(["c 188:* rw"], 512),
        has_ipv6=has_ipv6,
    )


@pytest.mark.parametrize("has_ipv6", [True, False])
def test_ipv6_is_disabled_if_the_kernel_supports_it(has_ipv6: bool) -> None:
    sysctls = body(target(interfaces=[lan("a")]), "1.41", has_ipv6=has_ipv6)["HostConfig"]["Sysctls"]
    assert [name for name in sysctls if ".ipv6." in name] == ["net.ipv6.conf.default.disable_ipv6"][: int(has_ipv6)]


def test_a_container_is_confined_and_keeps_what_realtime_needs() -> None:
    made = body(target(interfaces=[lan("a")], realtime={"enabled": True}), "1.51")["HostConfig"]

    assert made["CapDrop"] == ["MKNOD"]
    assert made["CapAdd"] == ["SYS_NICE"]
    assert made["SecurityOpt"] == ["no-new-privileges"]
    assert made["DeviceCgroupRules"] == ["c 188:* rw"]
    assert (made["PidsLimit"], made["OomScoreAdj"], made["Memory"]) == (512, 500, 0)
    assert rights.excess(made) == ""


@pytest.mark.parametrize(
    ("host_config", "expected"),
    [
        ({"DeviceCgroupRules": ["c 188:* rw", "c 4:* rw"]}, "make device nodes and open the host's consoles"),
        ({"CapDrop": None, "DeviceCgroupRules": None}, "make device nodes"),
        ({"CapDrop": ["CAP_MKNOD"], "DeviceCgroupRules": ["c 4:64 rw"]}, ""),
        ({"CapDrop": ["mknod"], "DeviceCgroupRules": ["c 4:* rw"]}, "open the host's consoles"),
        ({"CapDrop": ["ALL"]}, ""),
    ],
)
def test_excess_rights_of_an_earlier_version_are_found(host_config: dict[str, Any], expected: str) -> None:
    assert rights.excess(host_config) == expected


USB = SerialDevice("usb-a", "/dev/ttyUSB3", os.makedev(188, 3), 0o660, 0, 0)
ACM = SerialDevice("usb-b", "/dev/ttyACM0", os.makedev(166, 0), 0o660, 0, 0)
BOARD = SerialDevice("ttyS1", "/dev/ttyS1", os.makedev(4, 65), 0o660, 0, 0)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([], []),
        (["usb-a"], ["c 188:* rw"]),
        (["usb-a", "/dev/serial/by-id/usb-b", "/dev/ttyUSB3"], ["c 188:* rw", "c 166:* rw"]),
        (["ttyS1"], ["c 4:65 rw"]),
        (["usb-absent"], ["c 188:* rw", "c 166:* rw"]),
        (["/dev/ttyS3"], ["c 4:67 rw"]),
        (["ttyAMA0"], ["c 204:64 rw"]),
        (["ttyS999"], ["c 188:* rw", "c 166:* rw"]),
    ],
)
def test_cgroup_rules_cover_the_possible_devices_of_the_ports_only(ports: list[str], expected: list[str]) -> None:
    fields = [{"name": f"p{i}", "deviceId": id_, "containerPath": f"/dev/p{i}"} for i, id_ in enumerate(ports)]
    assert cgroup_rules.of(target(serialPorts=fields).spec.serial_ports, [USB, ACM, BOARD]) == expected


@pytest.mark.parametrize(
    ("rules", "device", "expected"),
    [
        (["c 188:* rw"], USB, True),
        (["c 188:* rw"], ACM, False),
        (["c 4:65 rw"], BOARD, True),
        (["c 4:64 rw"], BOARD, False),
        (["c 4:* rw"], BOARD, True),
        (["c *:* rwm"], USB, True),
        (["a *:* rwm"], USB, True),
        (["b 188:* rw"], USB, False),
        ([], USB, False),
        ([], None, False),
        (["c 166:* rw"], None, True),
    ],
)
def test_rules_allow_the_devices_that_they_cover(rules: list[str], device: SerialDevice | None, expected: bool) -> None:
    assert cgroup_rules.allow(rules, device) == expected


def test_an_old_engine_pins_the_mac_of_its_network_mode_only() -> None:
    made = body(target(interfaces=[lan("a", macAddress="02:00:00:00:00:01")]), "1.41")

    assert made["MacAddress"] == "02:00:00:00:00:01"
    assert made["HostConfig"]["NetworkMode"] == "edge-lan-x"
    assert list(made["NetworkingConfig"]["EndpointsConfig"]) == ["edge-lan-x"]


def test_a_new_engine_pins_every_endpoint_and_names_it() -> None:
    made = body(target(interfaces=[lan("internal0", gateway="10.1.0.1")]), "1.51")
    endpoints = made["NetworkingConfig"]["EndpointsConfig"]
    internal = labels.internal_network_name(IDENTITY)

    assert made["HostConfig"]["NetworkMode"] == internal
    assert endpoints["edge-lan-x"]["MacAddress"]
    assert endpoints["edge-lan-x"]["GwPriority"] > endpoints[internal]["GwPriority"]
    assert endpoints["edge-lan-x"]["DriverOpts"] == {"com.docker.network.endpoint.ifname": "internal0"}
    assert endpoints[internal]["DriverOpts"] == {"com.docker.network.endpoint.ifname": "internal1"}
    assert "MacAddress" not in made


@pytest.mark.parametrize(
    ("asked", "on_container", "remembered", "expected"),
    [
        ("02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", "02:00:00:00:00:01"),
        (None, "02:00:00:00:00:02", "02:00:00:00:00:03", "02:00:00:00:00:02"),
        (None, None, "02:00:00:00:00:03", "02:00:00:00:00:03"),
    ],
)
def test_the_mac_address_has_the_documented_precedence(
    asked: str | None, on_container: str | None, remembered: str, expected: str
) -> None:
    desired = Target(IDENTITY, "", "", 1, target(interfaces=[lan("a", macAddress=asked)]).spec, None, {"a": remembered})

    assert (
        create_body.desired_interfaces(desired, {"a": on_container} if on_container else {})[0].mac_address == expected
    )


def test_name_servers_are_unique_and_at_most_three() -> None:
    fields = target(
        interfaces=[lan("a", dns=["10.0.0.1", "10.0.0.2"]), lan("b", dns=["10.0.0.1", "10.0.0.3", "10.0.0.4"])]
    )

    assert desired_interface.name_servers(create_body.desired_interfaces(fields, {})) == (
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
    )


def test_labels_record_how_a_container_was_created() -> None:
    provenance = labels.ContainerProvenance(
        "plc@sha256:1", "plc:1", {"a": "02:00:00:00:00:01"}, "plc@sha256:0", pulled=True, realtime=False
    )

    found = labels.of_container(target(env=[{"name": "A", "value": "1"}]), provenance)

    assert labels.provenance(found) == provenance
    assert base.made_from(found) == target(env=[{"name": "A", "value": "1"}]).spec
    assert labels.identity_of(found, "install") == IDENTITY
    assert labels.identity_of(found, "another") is None


def test_secret_values_are_in_the_environment_but_not_in_labels() -> None:
    secret = {"name": "S", "valueFrom": {"secretKeyRef": {"name": "plc", "key": "password"}}}
    left_out = {"name": "O", "valueFrom": {"secretKeyRef": {"name": "plc", "key": "o", "optional": True}}}
    fields = target(interfaces=[lan("a")], env=[{"name": "A", "value": "1"}, secret, left_out])
    made = body(dataclasses.replace(fields, secret_env={"S": "a=b"}), "1.51")

    assert made["Env"] == ["A=1", "S=a=b"]
    assert "a=b" not in json.dumps(made["Labels"])
    assert base.made_from(made["Labels"]) == fields.spec
    assert create_body.secret_env(fields.spec, ["PATH=/bin", *made["Env"]]) == {"S": "a=b"}


@pytest.mark.parametrize("damaged", ["", "no JSON", "[]", '{"a":'])
def test_damaged_labels_raise_no_error(damaged: str) -> None:
    assert base.made_from({"getedge.me/spec": damaged}) is None
    assert labels.mac_addresses({"getedge.me/mac-addresses": damaged}) == {}


def test_the_names_of_objects_never_change() -> None:
    # Containers, networks and volumes of earlier versions are found by these names.
    assert labels.internal_network_name(IDENTITY) == "edge-6d3a6e156a8e"
    assert labels.volume_name(IDENTITY, "data") == "edge-6d3a6e156a8e-data"
    assert labels.previous_name(IDENTITY) == "edge-previous-6d3a6e156a8e"
