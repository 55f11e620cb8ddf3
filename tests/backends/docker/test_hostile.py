"""Attacks by an image, a runtime or the author of a spec on the host, on other runtimes and on the controller."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import docker
import pytest

from controller import errors, names
from controller.api import reasons
from controller.backends import base
from controller.backends.base import Contact
from controller.backends.docker.containers import labels
from tests.backends.conftest import BackendHarness, interface
from tests.support import image
from tests.support.command import run
from tests.support.image import Image
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


def links(api: Any, device_id: str) -> dict[str, str]:
    """Names of the links in a running container, by kind."""
    pid = str(api.inspect_container(device_id)["State"]["Pid"])
    found = json.loads(run("nsenter", "-t", pid, "-n", "ip", "-j", "-d", "link", "show").stdout)
    return {entry["linkinfo"]["info_kind"]: entry["ifname"] for entry in found if "linkinfo" in entry}


def load(client: docker.DockerClient, like: Image, labelled: dict[str, str]) -> None:
    """Load the image ``labelled`` with these labels."""
    image.load(client, [Image(f"{image.REPOSITORY}:labelled", like.layer, {**like.settings, "Labels": labelled})])


async def test_labels_of_an_image_never_count_as_ours(
    harness: BackendHarness, api: Any, docker_client: docker.DockerClient, runtime_images: dict[str, Image]
) -> None:
    ours = {name for name in vars(names) if name.endswith("_LABEL")} - {"ROLE_LABEL", "ORIGIN_LABEL", "LEASE_LABEL"}
    load(docker_client, runtime_images["1"], {getattr(names, name): "unavailable" for name in ours})
    target = await harness.up(harness.target(version="labelled"))
    made = api.inspect_container(target.identity.device_id)["Config"]["Labels"]
    assert "unavailable" not in made.values()
    assert (labels.provenance(made).realtime, labels.provenance(made).pulled) == (True, False)


async def test_image_labels_that_override_event_attributes_lose_no_event(
    harness: BackendHarness, api: Any, docker_client: docker.DockerClient, runtime_images: dict[str, Image]
) -> None:
    load(docker_client, runtime_images["1"], {"exitCode": "none", "execID": "x", "container": "y"})
    target = await harness.up(harness.target(version="labelled"))
    async with asyncio.timeout(30), aclosing(harness.backend.changes()) as changes:
        assert await anext(changes) is Contact.CONNECTED
        await asyncio.to_thread(api.restart, target.identity.device_id, timeout=0)
        assert await anext(changes) == target.identity
        observed = await harness.backend.observe(target)
    assert (observed.running, observed.exit_code) == (True, None)


async def test_a_link_of_the_engine_with_the_mac_address_of_the_spec_is_left_alone(
    harness: BackendHarness, api: Any, lan: Lan
) -> None:
    target = await harness.up(harness.target())
    (network,) = api.inspect_container(target.identity.device_id)["NetworkSettings"]["Networks"].values()
    before = links(api, target.identity.device_id)["veth"]

    target = harness.target(interfaces=[interface(lan, 10, macAddress=network["MacAddress"])])
    await harness.run(target, base.Step.REPAIR_NETWORKS)

    assert links(api, target.identity.device_id) == {"veth": before, "macvlan": "lan0"}
    (seen,) = (await harness.backend.observe(target)).network.interfaces
    assert (seen.in_order, seen.address) == (True, lan.address(10))


@pytest.mark.parametrize("mode", ["Dhcp", "Static"])
async def test_no_runtime_reaches_the_internal_network_of_another(harness: BackendHarness, api: Any, mode: str) -> None:
    victim = await harness.up(harness.target("victim"))
    (network,) = api.inspect_container(victim.identity.device_id)["NetworkSettings"]["Networks"].values()
    bridge = f"br-{network['NetworkID'][:12]}"
    static = {"address": "192.0.2.5", "subnet": "192.0.2.0/24"} if mode == "Static" else {}
    intruder = harness.target("intruder", interfaces=[{"name": "x", "parentInterface": bridge, "mode": mode, **static}])

    with pytest.raises(errors.Stalled, match="is the internal network of a runtime"):
        await harness.create_and_start(intruder)
    plain = dataclasses.replace(intruder, spec=harness.target("intruder").spec)
    await harness.up(plain)
    with pytest.raises(errors.Stalled, match="is the internal network of a runtime"):
        await harness.run(intruder, base.Step.REPAIR_NETWORKS)

    assert "macvlan" not in links(api, intruder.identity.device_id)


@pytest.fixture
def volume_of_another(harness: BackendHarness, api: Any) -> Iterator[str]:
    """A volume of another namespace's runtime with the name of the target's volume ``data``."""
    identity = harness.target().identity
    name = labels.volume_name(identity, "data")
    api.create_volume(name, labels=labels.of_identity(identity._replace(namespace="other")))
    yield name
    api.remove_volume(name)


async def test_a_volume_of_another_runtime_is_never_mounted(
    harness: BackendHarness, api: Any, volume_of_another: str
) -> None:
    with pytest.raises(errors.Stalled, match=f"{volume_of_another} belongs to other/") as refused:
        await harness.create_and_start(harness.target(volumes=[{"name": "data", "mountPath": "/data"}]))
    assert refused.value.reason == reasons.NAME_TAKEN
    assert await harness.backend.list_containers() == []


async def test_a_volume_that_a_person_created_is_mounted(harness: BackendHarness, api: Any) -> None:
    target = harness.target(volumes=[{"name": "data", "mountPath": "/data"}])
    name = labels.volume_name(target.identity, "data")
    await asyncio.to_thread(api.create_volume, name)
    await harness.up(target)
    await harness.down(target)
    await asyncio.to_thread(api.remove_volume, name)


async def test_the_internal_network_of_another_runtime_is_never_joined(harness: BackendHarness, api: Any) -> None:
    target = harness.target()
    other = target.identity._replace(namespace="other")
    api.create_network(labels.internal_network_name(target.identity), "bridge", labels=labels.of_internal(other))
    with pytest.raises(errors.Stalled, match="belongs to other/"):
        await harness.create_and_start(target)
