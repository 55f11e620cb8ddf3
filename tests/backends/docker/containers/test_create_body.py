"""Request bodies and labels of containers, and the engine's formats of pulls and streams."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api import runtimes
from controller.backends.base import Identity, Target
from controller.backends.docker.containers import confinement, create_body, labels
from controller.backends.docker.devices import cgroup_rules
from controller.backends.docker.engine.capabilities import Capabilities
from controller.backends.docker.engine.failures import Refusal
from controller.backends.docker.engine.streams import Stream, json_lines, payloads
from controller.backends.docker.images import pulling
from controller.backends.docker.networking.endpoint_plan import Attachment
from controller.devices import serial

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
    connected = (Attachment(desired_interfaces[0], "edge-lan-x"),)
    provenance = labels.ContainerProvenance("plc@sha256:1", "plc:1", {})
    return create_body.body(
        desired,
        provenance,
        connected,
        Capabilities.of(version),
        confinement.at_creation(["c 188:* rw"], 512),
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
    assert confinement.excess(made) == ""


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
    assert confinement.excess(host_config) == expected


USB = serial.SerialDevice("usb-a", "/dev/ttyUSB3", os.makedev(188, 3), 0o660, 0, 0)
ACM = serial.SerialDevice("usb-b", "/dev/ttyACM0", os.makedev(166, 0), 0o660, 0, 0)
BOARD = serial.SerialDevice("ttyS1", "/dev/ttyS1", os.makedev(4, 65), 0o660, 0, 0)


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
def test_rules_allow_the_devices_that_they_cover(
    rules: list[str], device: serial.SerialDevice | None, expected: bool
) -> None:
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

    assert create_body.name_servers(create_body.desired_interfaces(fields, {})) == ("10.0.0.1", "10.0.0.2", "10.0.0.3")


def test_labels_record_how_a_container_was_created() -> None:
    provenance = labels.ContainerProvenance(
        "plc@sha256:1", "plc:1", {"a": "02:00:00:00:00:01"}, "plc@sha256:0", pulled=True, realtime=False
    )

    found = labels.of_container(target(env=[{"name": "A", "value": "1"}]), provenance)

    assert labels.provenance(found) == provenance
    assert labels.made_from(found) == target(env=[{"name": "A", "value": "1"}]).spec
    assert labels.identity(found, "install") == IDENTITY
    assert labels.identity(found, "another") is None


def test_secret_values_are_in_the_environment_but_not_in_labels() -> None:
    secret = {"name": "S", "valueFrom": {"secretKeyRef": {"name": "plc", "key": "password"}}}
    left_out = {"name": "O", "valueFrom": {"secretKeyRef": {"name": "plc", "key": "o", "optional": True}}}
    fields = target(interfaces=[lan("a")], env=[{"name": "A", "value": "1"}, secret, left_out])
    made = body(dataclasses.replace(fields, secret_env={"S": "a=b"}), "1.51")

    assert made["Env"] == ["A=1", "S=a=b"]
    assert "a=b" not in json.dumps(made["Labels"])
    assert labels.made_from(made["Labels"]) == fields.spec
    assert create_body.secret_env(fields.spec, ["PATH=/bin", *made["Env"]]) == {"S": "a=b"}


@pytest.mark.parametrize("damaged", ["", "no JSON", "[]", '{"a":'])
def test_damaged_labels_raise_no_error(damaged: str) -> None:
    assert labels.made_from({"getedge.me/spec": damaged}) is None
    assert labels.mac_addresses({"getedge.me/mac-addresses": damaged}) == {}


def test_the_names_of_objects_never_change() -> None:
    # Containers, networks and volumes of earlier versions are found by these names.
    assert labels.internal_network_name(IDENTITY) == "edge-6d3a6e156a8e"
    assert labels.volume_name(IDENTITY, "data") == "edge-6d3a6e156a8e-data"
    assert labels.previous_name(IDENTITY) == "edge-previous-6d3a6e156a8e"


@pytest.mark.parametrize(
    ("repository", "registry", "matches"),
    [
        ("ghcr.io/a/b", "ghcr.io", True),
        ("ghcr.io/a/b", "https://ghcr.io/", True),
        ("127.0.0.1:5000/b", "127.0.0.1:5000", True),
        ("127.0.0.1:5000/b", "127.0.0.1", False),
        ("plc", "https://index.docker.io/v1/", True),
        ("autonomy/plc", "docker.io", True),
        ("autonomy/plc", "ghcr.io", False),
        ("ghcr.io.evil/plc", "ghcr.io", False),
    ],
)
def test_credentials_go_to_their_registry_only(repository: str, registry: str, matches: bool) -> None:
    given_here = {"registry": registry, "username": "u", "password": "p"}

    assert (pulling.credentials_for(repository, [given_here]) is not None) == matches


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("plc:1", ("plc", "1")),
        ("127.0.0.1:5000/plc:1", ("127.0.0.1:5000/plc", "1")),
        ("r/plc@sha256:ab", ("r/plc", "sha256:ab")),
    ],
)
def test_a_reference_is_split_into_repository_and_tag(reference: str, expected: tuple[str, str]) -> None:
    assert pulling.repository_of(reference) == expected


def test_progress_adds_up_the_layers() -> None:
    download = pulling.Download("plc:1")
    assert download.describe() == "Pulling plc:1"
    for layer, done in (("a", 1_000_000), ("b", 500_000)):
        detail = {"current": done, "total": 2_000_000}
        download.take({"id": layer, "status": "Downloading", "progressDetail": detail})
    assert download.describe() == "Pulling plc:1: 37 % (1.5 of 4.0 MB)"

    download.take({"id": "a", "status": "Pull complete"})

    assert download.describe() == "Pulling plc:1: 62 % (2.5 of 4.0 MB)"


def test_a_pull_that_fails_half_way_is_a_refusal() -> None:
    with pytest.raises(Refusal, match="denied"):
        pulling.Download("plc:1").take({"error": "denied", "errorDetail": {"message": "denied: no"}})


class Chunks:
    """A response of the engine in chunks."""

    def __init__(self, content: bytes, size: int) -> None:
        self.content, self.size = content, size
        self.raw = self

    def iter_content(self, chunk_size: int | None) -> Iterator[bytes]:
        """Like requests."""
        return iter([self.content[i : i + self.size] for i in range(0, len(self.content), self.size)])

    def shutdown(self) -> None:
        """Like urllib3 after reading to the end."""
        raise RuntimeError("released")

    def close(self) -> None:
        """Do nothing."""


async def directly(read: Any) -> bytes:
    """Run the function without a thread."""
    return bytes(read())


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2), max_size=5), st.integers(1, 9))
async def test_lines_are_reassembled_from_any_chunks(lines: list[dict[str, str]], size: int) -> None:
    content = b"".join(json.dumps(line).encode() + b"\r\n" for line in lines)
    stream: Any = Stream(Chunks(content, size), directly)  # type: ignore[arg-type]

    assert [line async for line in json_lines(stream)] == lines


@given(st.lists(st.binary(max_size=30), max_size=5), st.integers(1, 9))
async def test_frames_are_reassembled_from_any_chunks(frames: list[bytes], size: int) -> None:
    content = b"".join(b"\x01\0\0\0" + len(frame).to_bytes(4, "big") + frame for frame in frames)
    stream: Any = Stream(Chunks(content, size), directly)  # type: ignore[arg-type]

    assert [frame async for frame in payloads(stream)] == frames
