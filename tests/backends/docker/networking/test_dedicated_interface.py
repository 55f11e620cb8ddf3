"""Dedicated interfaces: moved into the container at each start, and returned to the host unchanged."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller import errors
from controller.api import reasons
from controller.backends import base
from controller.backends.base import Target
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.parts import HostServices
from controller.backends.observation import Observed
from controller.network.interface_passthrough import InterfacePassthrough
from tests.backends.conftest import INTERNAL_POOL, BackendHarness, NewBackend, interface
from tests.backends.inside import changed, links_of
from tests.support.command import run
from tests.support.dockerd import Engine
from tests.support.edge_host import eventually
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


@pytest.fixture
def nic(docker_machine: None) -> Iterator[Lan]:
    """A host interface with an address, and with a machine at the other end of its cable."""
    with Lan() as made:
        run("ip", "addr", "add", f"{made.address(2)}/24", "dev", made.parent)
        run("ip", "link", "set", made.parent, "mtu", "1400")
        yield made


def on_host(name: str) -> tuple[Any, ...]:
    """The properties of a host interface that must be restored; () when it is missing."""
    shown = run("ip", "-j", "address", "show", "dev", name, check=False)
    if shown.returncode:
        return ()
    (link,) = json.loads(shown.stdout)
    given = [(each["local"], each["prefixlen"]) for each in link["addr_info"] if each["family"] == "inet"]
    return link["address"], link["mtu"], "UP" in link["flags"], given


async def has_it(harness: BackendHarness, target: Target, nic: Lan) -> bool:
    """Whether the interface is in the runtime under its name, is up, and the backend reports no fault."""
    links = {link.name: link for link in (await links_of(harness, target)).links}
    fault = (await harness.backend.observe(target)).dedicated.fault
    return fault == "" and nic.parent in links and links[nic.parent].up


async def test_it_is_moved_in_and_returned_unchanged_at_a_stop(harness: BackendHarness, lan: Lan, nic: Lan) -> None:
    before = on_host(nic.parent)
    desired = harness.target(interfaces=[interface(lan, 10)], dedicatedInterface=nic.parent)

    target = await harness.up(desired)
    assert await has_it(harness, target, nic)
    assert on_host(nic.parent) == ()
    assert lan.ping(lan.address(10))
    await harness.run(target, base.Step.STOP_CONTAINER)

    assert on_host(nic.parent) == before
    assert nic.ping(nic.address(2))
    assert not (await harness.backend.observe(target)).dedicated.passed_through


async def test_an_interface_that_was_down_is_returned_down(harness: BackendHarness, nic: Lan) -> None:
    nic.set_up(up=False)
    target = await harness.up(harness.target(interfaces=[], dedicatedInterface=nic.parent))
    assert await has_it(harness, target, nic)

    await harness.down(target)

    assert on_host(nic.parent)[2] is False


async def test_it_is_moved_in_at_each_start(harness: BackendHarness, nic: Lan, api: Any) -> None:
    target = await harness.up(harness.target(interfaces=[], dedicatedInterface=nic.parent))
    await harness.run(target, base.Step.RESTART_CONTAINER)
    assert await has_it(harness, target, nic)

    api.restart(target.identity.device_id, timeout=1)
    assert not await has_it(harness, target, nic)
    await harness.run(target, base.Step.REPAIR_NETWORKS)

    assert await has_it(harness, target, nic)


async def test_the_other_interfaces_are_repaired_after_a_restart_by_the_engine(
    harness: BackendHarness, lan: Lan, nic: Lan, api: Any
) -> None:
    wired = [interface(lan, 10), interface(lan, 11, "cell")]
    target = await harness.up(harness.target(interfaces=wired, dedicatedInterface=nic.parent))

    # The namespace of the previous run is still held, with links that have the same MAC addresses.
    api.restart(target.identity.device_id, timeout=1)
    await harness.run(target, base.Step.REPAIR_NETWORKS)

    assert await has_it(harness, target, nic)
    assert lan.ping(lan.address(10))
    assert lan.ping(lan.address(11))


async def test_it_is_returned_after_a_crash_of_container_and_controller(
    harness: BackendHarness, nic: Lan, api: Any, new_backend: NewBackend
) -> None:
    before = on_host(nic.parent)
    target = await harness.up(harness.target(interfaces=[], dedicatedInterface=nic.parent))
    api.update_container(target.identity.device_id, restart_policy={"Name": "no"})
    api.kill(target.identity.device_id)
    another = BackendHarness(new_backend(harness.install_id), harness.install_id, harness.image)

    observed = await another.backend.observe(target)
    assert (observed.dedicated.passed_through, on_host(nic.parent)) == (True, ())
    await another.run(target, base.Step.REPAIR_NETWORKS)

    assert on_host(nic.parent) == before


async def test_the_next_repair_recovers_from_a_crash_between_steps(
    harness: BackendHarness, nic: Lan, tmp_path: Path
) -> None:
    before = on_host(nic.parent)
    target = await harness.up(harness.target(interfaces=[], dedicatedInterface=nic.parent))
    # As after a crash just behind the move to the host.
    run(
        "nsenter", f"--net={tmp_path}/passthrough/{nic.parent}.namespace", "ip", "link", "set", nic.parent, "netns", "1"
    )
    assert on_host(nic.parent) != before

    await harness.run(target, base.Step.REPAIR_NETWORKS)
    assert await has_it(harness, target, nic)
    await harness.run(target, base.Step.STOP_CONTAINER)

    assert on_host(nic.parent)[0] == before[0]


async def test_it_is_returned_from_a_container_that_somebody_removed(
    harness: BackendHarness, nic: Lan, api: Any
) -> None:
    before = on_host(nic.parent)
    target = await harness.up(harness.target(interfaces=[], dedicatedInterface=nic.parent))
    api.remove_container(target.identity.device_id, force=True)
    assert (await harness.backend.observe(target)).dedicated.passed_through

    await harness.run(target, base.Step.REPAIR_NETWORKS)

    assert on_host(nic.parent) == before


async def test_it_is_returned_without_the_mount_of_the_namespace(
    harness: BackendHarness, nic: Lan, new_backend: NewBackend, tmp_path: Path
) -> None:
    before = on_host(nic.parent)
    target = await harness.up(harness.target(interfaces=[], dedicatedInterface=nic.parent))
    run("umount", str(tmp_path / "passthrough" / f"{nic.parent}.namespace"))
    another = BackendHarness(new_backend(harness.install_id), harness.install_id, harness.image)
    assert await has_it(another, target, nic)

    await another.run(target, base.Step.STOP_CONTAINER)

    assert on_host(nic.parent) == before


async def test_it_is_refused_while_another_runtime_needs_it(harness: BackendHarness, nic: Lan) -> None:
    desired = harness.target(interfaces=[], dedicatedInterface=nic.parent)
    rivalled = dataclasses.replace(desired, rival="eth1 is a parent of plc-9")

    assert (await harness.backend.observe(rivalled)).start_blockers == (
        (reasons.DEDICATED_REFUSED, "eth1 is a parent of plc-9"),
    )
    target = await harness.up(desired)
    assert (await harness.backend.observe(dataclasses.replace(target, rival=rivalled.rival))).start_blockers == ()


async def test_it_is_moved_in_and_out_while_the_runtime_runs(harness: BackendHarness, nic: Lan) -> None:
    before = on_host(nic.parent)
    target = await harness.up(harness.target(interfaces=[]))
    started = (await harness.backend.observe(target)).started_at
    desired = changed(target, dedicatedInterface=nic.parent)
    assert (await harness.backend.observe(desired)).dedicated.fault

    await harness.run(desired, base.Step.REPAIR_NETWORKS)
    assert await has_it(harness, desired, nic)
    await harness.run(target, base.Step.REPAIR_NETWORKS)

    assert on_host(nic.parent) == before
    assert (await harness.backend.observe(target)).started_at == started


async def test_an_interface_with_the_name_of_a_docker_link_survives_the_stop(
    harness: BackendHarness, lan: Lan, nic: Lan
) -> None:
    run("ip", "link", "set", nic.parent, "name", "eth1")
    try:
        desired = harness.target(interfaces=[interface(lan, 10, "eth0")], dedicatedInterface="eth1")
        target = await harness.up(desired)
        links = {link.name: link for link in (await links_of(harness, target)).links}
        await harness.run(target, base.Step.STOP_CONTAINER)
    finally:
        run("ip", "link", "set", "eth1", "name", nic.parent)

    mac = on_host(nic.parent)[0]
    assert next(link.name for link in links.values() if link.mac_address == mac) in ("eth1", "eth1-nic")
    assert len(links) == 3


async def test_a_second_runtime_is_refused(harness: BackendHarness, nic: Lan) -> None:
    first = await harness.up(harness.target("plc1", interfaces=[], dedicatedInterface=nic.parent))
    second = harness.target("plc2", interfaces=[], dedicatedInterface=nic.parent)

    ((reason, message),) = (await harness.backend.observe(second)).start_blockers
    with pytest.raises(errors.Stalled) as refused:
        await harness.up(second)

    assert reason == refused.value.reason == reasons.DEDICATED_REFUSED
    assert first.identity.device_id in message
    assert await has_it(harness, first, nic)


async def refusal(harness: BackendHarness, name: str, **spec: Any) -> tuple[str, str]:
    """The reason and message of the refusal."""
    observed: Observed = await harness.backend.observe(harness.target("plc9", dedicatedInterface=name, **spec))
    return observed.start_blockers[0]


async def test_an_interface_that_the_host_or_a_runtime_uses_is_refused(
    harness: BackendHarness, lan: Lan, nic: Lan
) -> None:
    await harness.up(harness.target(interfaces=[interface(lan, 10)]))
    assert (await refusal(harness, lan.parent))[0] == reasons.DEDICATED_REFUSED
    own = await refusal(harness, nic.parent, interfaces=[interface(nic, 10)])
    assert own[0] == reasons.DEDICATED_REFUSED

    run("ip", "route", "add", "default", "via", nic.gateway, "dev", nic.parent, "metric", "4000")
    assert "default route" in (await refusal(harness, nic.parent))[1]
    run("ip", "route", "del", "default", "via", nic.gateway, "dev", nic.parent)
    upper = f"{nic.parent[:12]}-up"
    run("ip", "link", "add", "link", nic.parent, "name", upper, "type", "macvlan")
    assert upper in (await refusal(harness, nic.parent))[1]


async def test_a_start_waits_for_a_missing_interface(harness: BackendHarness, nic: Lan) -> None:
    desired = harness.target(interfaces=[], dedicatedInterface=nic.parent)
    await asyncio.to_thread(nic.unplug)
    assert (await harness.backend.observe(desired)).start_blockers[0][0] == reasons.PARENT_MISSING
    await asyncio.to_thread(nic.plug)

    target = await harness.up(desired)

    assert await has_it(harness, target, nic)


async def test_an_interface_that_is_pulled_and_plugged_in_returns_to_the_runtime(
    harness: BackendHarness, nic: Lan
) -> None:
    target = await harness.up(harness.target(interfaces=[], dedicatedInterface=nic.parent))
    run("ip", "netns", "exec", nic.namespace, "ip", "link", "delete", "lan0")

    assert not await has_it(harness, target, nic)
    await asyncio.to_thread(nic.plug)

    async def back() -> bool:
        await harness.run(target, base.Step.REPAIR_NETWORKS)
        return await has_it(harness, target, nic)

    await eventually(back, "the interface is in the runtime again")


async def test_records_of_an_earlier_boot_are_ignored(tmp_path: Path, nic: Lan) -> None:
    passthrough = InterfacePassthrough(tmp_path)
    record = {
        "name": nic.parent,
        "owner": ["edge", "plc"],
        "mac_address": "",
        "kind": "virtual",
        "up": False,
        "mtu": 1,
        "addresses": [],
    }
    (tmp_path / f"{nic.parent}.json").write_text(json.dumps({**record, "boot": "another"}))
    (tmp_path / "broken.json").write_text("{")

    assert await passthrough.passthroughs() == {}


async def test_an_interface_whose_name_is_taken_on_the_host_is_not_lost(harness: BackendHarness, nic: Lan) -> None:
    target = await harness.up(harness.target(interfaces=[], dedicatedInterface=nic.parent))
    run("ip", "link", "add", nic.parent, "type", "bridge")

    with pytest.raises(errors.Retry):
        await harness.run(target, base.Step.STOP_CONTAINER)
    assert (await harness.backend.observe(target)).dedicated.passed_through
    run("ip", "link", "delete", nic.parent)
    await harness.run(target, base.Step.REPAIR_NETWORKS)

    assert nic.ping(nic.address(2))


async def test_an_interface_with_addresses_of_the_host_is_refused_for_a_new_spec(
    harness: BackendHarness, engine: Engine, host: HostServices, nic: Lan
) -> None:
    backend = DockerBackend(engine.url, harness.install_id, INTERNAL_POOL, host)
    strict = BackendHarness(backend, harness.install_id, harness.image)
    address, link_local = f"{nic.address(2)}/24", "169.254.7.7/16"
    try:
        reason, message = await refusal(strict, nic.parent)
        assert reason == reasons.DEDICATED_REFUSED
        assert address in message
        run("ip", "address", "del", address, "dev", nic.parent)
        run("ip", "address", "add", link_local, "dev", nic.parent)
        assert (await backend.observe(strict.target("plc9", dedicatedInterface=nic.parent))).start_blockers == ()
        run("ip", "address", "add", "2001:db8::7/64", "dev", nic.parent)
        assert "2001:db8::7/64" in (await refusal(strict, nic.parent))[1]
    finally:
        backend.close()


async def test_a_runtime_keeps_its_interface_when_the_host_gives_it_an_address(
    harness: BackendHarness, engine: Engine, host: HostServices, nic: Lan
) -> None:
    # Made when the setting allowed it, or by an earlier version.
    target = await harness.up(harness.target(interfaces=[], dedicatedInterface=nic.parent))
    backend = DockerBackend(engine.url, harness.install_id, INTERNAL_POOL, host)
    strict = BackendHarness(backend, harness.install_id, harness.image)
    try:
        await strict.run(target, base.Step.STOP_CONTAINER)
        assert on_host(nic.parent)
        newer = changed(target, env=[{"name": "MODE", "value": "b"}])
        assert (await backend.observe(newer)).start_blockers == ()
        await strict.run(newer, base.Step.START_CONTAINER)
        await strict.run(newer, base.Step.REPAIR_NETWORKS)
        assert await has_it(strict, newer, nic)
        another = strict.target("plc9", dedicatedInterface=nic.parent)
        await strict.run(newer, base.Step.STOP_CONTAINER)
        assert (await backend.observe(another)).start_blockers
        # Such a spec takes full effect without the interface.
        stopped = dataclasses.replace(changed(another, desiredState="Stopped"), applied=True)
        await backend.observe(stopped)
        assert (await backend.observe(another)).start_blockers
        assert (await backend.observe(dataclasses.replace(another, applied=True))).start_blockers == ()
    finally:
        backend.close()
