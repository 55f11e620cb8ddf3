"""Parent interfaces: missing, unplugged and plugged in again, Wi-Fi, VLANs, several on one LAN."""

from __future__ import annotations

import pytest

from controller import errors
from controller.api import reasons
from controller.backends import base
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.parts import HostServices
from controller.network.link_changes import AddMacvlan
from controller.network.parents import Parents
from tests.backends.conftest import INTERNAL_POOL, BackendHarness, interface
from tests.backends.inside import in_order, pid_of
from tests.support.command import run
from tests.support.dockerd import Engine
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


async def test_a_replugged_parent_is_used_again(harness: BackendHarness, lan: Lan) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    mac = lan.mac_of(lan.address(10))
    lan.unplug()
    without = await harness.backend.observe(target)
    with pytest.raises(errors.Waiting) as missing:
        await harness.run(target, base.Step.REPAIR_NETWORKS)
    lan.plug()

    await harness.run(target, base.Step.REPAIR_NETWORKS)

    assert without.running
    assert without.network.missing_parents == (lan.parent,)
    assert missing.value.reason == reasons.PARENT_MISSING
    assert lan.mac_of(lan.address(10)) == mac
    assert (await harness.backend.observe(target)).started_at == without.started_at


async def test_a_start_waits_for_a_missing_parent(harness: BackendHarness, lan: Lan) -> None:
    target = await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    mac = lan.mac_of(lan.address(10))
    await harness.run(target, base.Step.STOP_CONTAINER)
    lan.unplug()

    with pytest.raises(errors.Waiting) as missing:
        await harness.run(target, base.Step.START_CONTAINER)
    lan.plug()
    await harness.run(target, base.Step.REPAIR_NETWORKS, base.Step.START_CONTAINER)

    assert missing.value.reason == reasons.PARENT_MISSING
    assert lan.mac_of(lan.address(10)) == mac


async def test_a_creation_waits_for_a_missing_parent(harness: BackendHarness, lan: Lan) -> None:
    desired = harness.target(interfaces=[interface(lan, 10) | {"parentInterface": "nosuch0"}])

    with pytest.raises(errors.Waiting) as missing:
        await harness.run(desired, base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER)

    assert missing.value.reason == reasons.PARENT_MISSING


async def test_two_parents_on_one_lan_answer_only_for_their_own_address(harness: BackendHarness, lan: Lan) -> None:
    second = lan.second_parent()
    interfaces = [interface(lan, 10), interface(lan, 11, "cell") | {"parentInterface": second, "gateway": None}]
    target = await harness.up(harness.target(interfaces=interfaces))
    macs = {each.name: each.mac_address for each in (await harness.backend.observe(target)).network.interfaces}

    assert await in_order(harness, target)
    assert lan.macs_of(lan.address(10)) == {macs["lan0"]}
    assert lan.macs_of(lan.address(11)) == {macs["cell"]}
    assert lan.ping(lan.address(10))
    assert lan.ping(lan.address(11))


async def test_an_address_outside_the_parents_own_subnet_answers(harness: BackendHarness, lan: Lan) -> None:
    run("ip", "addr", "add", "192.0.2.7/24", "dev", lan.parent)
    run("ip", "addr", "add", f"{lan.address(7)}/24", "dev", lan.parent)

    await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    outside = interface(lan, 10, "cell") | {"address": "198.51.100.5", "subnet": "198.51.100.0/24", "gateway": None}
    await harness.up(harness.target("plc2", interfaces=[outside]))

    run("ip", "-n", lan.namespace, "addr", "add", "198.51.100.1/24", "dev", "lan0")
    assert lan.ping(lan.address(10))
    assert lan.ping("198.51.100.5")


async def test_a_wifi_parent_is_refused_with_the_remedy(
    engine: Engine, host: HostServices, harness: BackendHarness, lan: Lan
) -> None:
    wifi = DockerBackend(engine.url, harness.install_id, INTERNAL_POOL, host, interface_kind=lambda _: "wifi")
    try:
        ((reason, message),) = (await wifi.observe(harness.target(interfaces=[interface(lan, 10)]))).start_blockers
    finally:
        wifi.close()

    assert reason == reasons.WIFI_PARENT
    assert "wired" in message


async def test_a_vlan_is_created_for_a_runtime_recovers_with_its_nic_and_is_removed_with_the_runtime(
    engine: Engine, host: HostServices, install_id: str, runtime_image: str, lan: Lan
) -> None:
    # Not every kernel has VLANs: a macvlan of that name stands in for one.
    parents = Parents(install_id, lambda wanted, name: AddMacvlan(wanted.lower, name, "02:00:00:00:00:10"))
    backend = DockerBackend(engine.url, install_id, INTERNAL_POOL, host, parents=parents)
    harness, name = BackendHarness(backend, install_id, runtime_image), f"{lan.parent}.10"
    desired = interface(lan, 10) | {"parentInterface": name, "subnet": str(lan.subnet), "gateway": lan.gateway}
    try:
        target = await harness.up(harness.target(interfaces=[desired]))
        assert lan.ping(lan.address(10))
        before = await pid_of(harness, target)

        lan.unplug()
        assert (await backend.observe(target)).network.missing_parents == (name,)
        lan.plug()
        assert (await backend.observe(target)).network.missing_parents == ()
        await harness.run(target, base.Step.REPAIR_NETWORKS)

        assert lan.ping(lan.address(10))
        assert await pid_of(harness, target) == before
        await harness.down(target)
        assert parents.numbers([name]) == {name: 0}
    finally:
        await backend.purge(volumes=True)
        backend.close()
