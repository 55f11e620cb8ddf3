"""The private engine and the LAN work as the suite expects, and leave nothing behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest
from docker.types import IPAMConfig, IPAMPool

from tests.support import command, dockerd, engine_traces
from tests.support import lan as lans
from tests.support.dockerd import Engine
from tests.support.image import Image, load
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


def test_a_container_on_the_lan_answers_with_its_own_mac(engine: Engine, lan: Lan, runtime_image: str) -> None:
    with contextlib.closing(engine.client()) as client:
        pool = IPAMConfig(pool_configs=[IPAMPool(subnet=str(lan.subnet), gateway=lan.gateway)])
        network = client.networks.create(lan.parent, driver="macvlan", options={"parent": lan.parent}, ipam=pool)
        endpoint = client.api.create_endpoint_config(ipv4_address=lan.address(50))
        container = client.containers.create(
            f"{runtime_image}:1", network=lan.parent, networking_config={lan.parent: endpoint}
        )
        try:
            container.start()
            container.reload()
            assert lan.ping(lan.address(50))
            assert (
                lan.mac_of(lan.address(50)) == container.attrs["NetworkSettings"]["Networks"][lan.parent]["MacAddress"]
            )
        finally:
            container.remove(force=True)
            network.remove()


def test_the_runtime_exits_at_once_on_sigterm(engine: Engine, runtime_image: str) -> None:
    with contextlib.closing(engine.client()) as client:
        container = client.containers.run(f"{runtime_image}:1", detach=True, network_mode="none")
        try:
            next(line for line in container.logs(stream=True) if b"control server ready" in line)
            container.stop(timeout=60)
            assert container.wait()["StatusCode"] == 0
        finally:
            container.remove(force=True)


@pytest.fixture
def own_engine(engine: Engine) -> Iterator[Engine]:
    """A second engine of the same kind as the session's."""
    with Engine(engine.binary, runtime=engine.runtime) as own:
        yield own


def test_a_killed_engine_starts_again(own_engine: Engine) -> None:
    own_engine.kill()
    own_engine.start()
    with contextlib.closing(own_engine.client()) as client:
        assert client.ping()


def test_a_removed_engine_leaves_nothing_behind(own_engine: Engine, runtime_images: dict[str, Image]) -> None:
    with contextlib.closing(own_engine.client()) as client:
        load(client, [runtime_images["1"]])
        network = client.networks.create("internal", internal=True)
        client.containers.run(runtime_images["1"].reference, detach=True, network=network.name)
    assert network.id
    bridge = f"br-{network.id[:12]}"
    assert engine_traces.bridges(own_engine.root) == {bridge}
    # As when the engine is killed between creating a veth pair and moving its other end into the container.
    half = f"half{os.getpid()}"
    command.run("ip", "link", "add", half, "master", bridge, "type", "veth", "peer", "name", f"{half}p")
    own_engine.remove()
    assert engine_traces.find(own_engine.root) == []
    assert not engine_traces.link_exists(bridge)
    assert not engine_traces.link_exists(half)
    assert own_engine.root not in dockerd.roots()


def test_a_removed_lan_leaves_nothing_behind(docker_machine: None) -> None:
    with Lan() as lan:
        assert lan.parent in lans.names()
    assert lan.parent not in lans.names()


def test_an_unplugged_parent_comes_back_under_its_name(lan: Lan) -> None:
    lan.unplug()
    assert not lan.ping(lan.gateway, seconds=1)
    lan.plug()
    assert lan.ping(lan.gateway)
