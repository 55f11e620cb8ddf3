"""The contract of every backend, tested through protocol.Backend only: on a Docker engine and on a real cluster."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
from contextlib import aclosing

import pytest

from controller import errors
from controller.api import reasons
from controller.backends import base
from tests.backends.conftest import Bench

pytestmark = pytest.mark.timeout(300)

ON_DOCKER = pytest.param("docker_bench", marks=pytest.mark.docker)
ON_A_CLUSTER = pytest.param("pods_bench", marks=pytest.mark.cluster)


@pytest.fixture(params=[ON_DOCKER, ON_A_CLUSTER])
def bench(request: pytest.FixtureRequest) -> Bench:
    """Each backend."""
    found: Bench = request.getfixturevalue(request.param)
    return found


async def test_a_runtime_that_does_not_exist_is_observed_as_absent(bench: Bench) -> None:
    observed = await bench.backend.observe(bench.target())

    assert observed == base.Observed()


async def test_a_runtime_runs_with_its_spec_and_records_it(bench: Bench) -> None:
    target = bench.target(env=[{"name": "MODE", "value": "run"}], resources={"cpu": "500m", "memory": "64Mi"})

    target = await bench.up(target)
    observed = await bench.backend.observe(target)

    assert observed.running
    assert observed.made_from == target.spec
    assert observed.uid == target.uid
    assert observed.image == target.image
    assert observed.image_source == target.spec.image_reference
    assert observed.internal_attached
    assert ipaddress.IPv4Address(observed.internal_ip).is_private or observed.internal_ip.startswith("100.")
    assert observed.resources.cpu == "500m"
    assert observed.resources.memory == str(64 * 2**20)
    assert observed.started_at


async def test_repeating_steps_changes_nothing(bench: Bench) -> None:
    target = await bench.up(bench.target())
    first = await bench.settled(target, healthy=True)

    await bench.run(
        target,
        base.Step.RESOLVE_IMAGE,
        base.Step.CREATE_CONTAINER,
        base.Step.START_CONTAINER,
        base.Step.REPAIR_NETWORKS,
        base.Step.UPDATE_RESOURCES,
        base.Step.FINISH_REPLACEMENT,
    )

    assert await bench.backend.observe(target) == first


async def test_a_running_runtime_is_handed_over_without_a_change(bench: Bench) -> None:
    target = await bench.up(bench.target())
    before = await bench.settled(target, healthy=True)
    successor = dataclasses.replace(target, name=f"{target.name}-b")
    if bench.own:
        successor = dataclasses.replace(successor, uid=await bench.own(successor))

    made_for = await bench.backend.made_for(target.identity)
    await bench.backend.hand_over(successor)
    await bench.backend.hand_over(successor)

    assert made_for == target.uid
    assert await bench.backend.observe(successor) == before


async def test_a_runtime_that_does_not_exist_has_no_owner_and_can_be_handed_over(bench: Bench) -> None:
    await bench.backend.hand_over(bench.target())

    assert await bench.backend.made_for(bench.target().identity) == ""


async def test_a_stopped_runtime_stays_and_starts_again(bench: Bench) -> None:
    target = await bench.up(bench.target())
    await bench.ready(target)

    await bench.run(target, base.Step.STOP_CONTAINER, base.Step.STOP_CONTAINER)
    stopped = await bench.backend.observe(target)
    await bench.run(target, base.Step.START_CONTAINER)

    assert (stopped.state, stopped.exit_code or 0) == ("exited", 0)
    assert (await bench.settled(target)).container_id == stopped.container_id


async def test_a_restart_is_another_start_of_the_same_container(bench: Bench) -> None:
    target = await bench.up(bench.target())
    before = await bench.backend.observe(target)

    await bench.run(target, base.Step.RESTART_CONTAINER)

    after = await bench.settled(target)
    assert after.container_id == before.container_id
    assert after.started_at > before.started_at
    assert after.restart_count == 0


async def test_a_removed_runtime_leaves_nothing(bench: Bench) -> None:
    target = await bench.up(bench.target())

    await bench.down(target)
    await bench.down(target)

    assert await bench.backend.observe(target) == base.Observed()
    assert await bench.backend.known() == []


async def test_networks_without_a_container_are_leftovers(bench: Bench) -> None:
    target = await bench.up(bench.target())

    await bench.run(target, base.Step.REMOVE_CONTAINER)

    assert (await bench.backend.observe(target)).leftovers


async def test_limits_change_on_the_running_container_and_can_be_lifted(bench: Bench) -> None:
    target = await bench.up(bench.target(resources={"cpu": "1", "memory": "64Mi"}))
    before = await bench.backend.observe(target)

    for limits in ({"cpu": "500m", "memory": "128Mi"}, {"cpu": None, "memory": None}):
        desired = dataclasses.replace(target, spec=bench.target(resources=limits).spec)
        await bench.run(desired, base.Step.UPDATE_RESOURCES)
        observed = await bench.backend.observe(desired)
        expected = {"cpu": limits["cpu"], "memory": limits["memory"] and str(128 * 2**20)}

        assert observed.resources.model_dump() == expected
        assert observed.started_at == before.started_at


async def test_a_replacement_runs_the_new_version_and_removes_the_old_container(bench: Bench) -> None:
    target = await bench.up(bench.target())
    old = await bench.backend.observe(target)

    target = await bench.run(bench.target(version="2"), base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER)

    new = await bench.backend.observe(target)
    assert new.running
    assert new.container_id != old.container_id
    assert new.image_source.endswith(":2")
    assert not new.predecessor


async def test_a_replacement_that_does_not_run_is_rolled_back(bench: Bench) -> None:
    target = await bench.up(bench.target())
    old = await bench.backend.observe(target)

    with pytest.raises(errors.Stalled) as failure:
        await bench.run(bench.target(version="crash"), base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER)

    assert failure.value.reason == reasons.REPLACE_FAILED
    observed = await bench.backend.observe(target)
    assert (observed.running, observed.container_id, observed.predecessor) == (True, old.container_id, "")


async def test_replacing_a_stopped_runtime_starts_nothing(bench: Bench) -> None:
    target = await bench.up(bench.target())
    await bench.run(target, base.Step.STOP_CONTAINER)

    target = await bench.run(
        bench.target(version="2", desiredState="Stopped"), base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER
    )

    assert (await bench.backend.observe(target)).state in ("created", "exited")


async def test_changes_begin_with_connected_and_then_name_the_runtime(bench: Bench) -> None:
    target = bench.target()
    async with aclosing(bench.backend.changes()) as changes, asyncio.timeout(60):
        assert await anext(changes) is base.Contact.CONNECTED
        await bench.up(target)
        assert await anext(changes) == target.identity


async def test_known_lists_running_and_stopped_containers(bench: Bench) -> None:
    target, stopped = await bench.up(bench.target()), await bench.up(bench.target("plc2"))
    await bench.run(stopped, base.Step.STOP_CONTAINER)

    assert {orphan.identity for orphan in await bench.backend.known()} == {target.identity, stopped.identity}


async def test_logs_are_what_the_program_printed(bench: Bench) -> None:
    target = await bench.up(bench.target())
    await bench.ready(target)
    async with asyncio.timeout(60), aclosing(await bench.backend.logs(target.identity, tail=5, follow=True)) as lines:
        assert b"control server ready" in await anext(lines)
    read = await bench.backend.logs(target.identity, tail=5, follow=False)

    assert b"control server ready\n" in b"".join([part async for part in read])


async def test_logs_of_a_runtime_that_does_not_exist_are_not_found(bench: Bench) -> None:
    with pytest.raises(errors.NotFoundError):
        await bench.backend.logs(bench.target().identity, tail=5, follow=False)


async def test_purge_removes_everything_that_it_lists(bench: Bench) -> None:
    target = await bench.up(bench.target(volumes=[{"name": "data", "mountPath": "/data"}]))

    found = await bench.backend.belongings(volumes=True)
    removed = await bench.backend.purge(volumes=True)

    assert removed == found
    assert f"container {target.identity.device_id}" in removed
    assert [line.split()[0] for line in removed] == ["container", "network", "volume"]
    assert await bench.backend.purge(volumes=True) == []


async def test_purge_keeps_volumes_by_default(bench: Bench) -> None:
    await bench.up(bench.target(volumes=[{"name": "data", "mountPath": "/data"}]))

    await bench.backend.purge(volumes=False)

    assert [line.split()[0] for line in await bench.backend.belongings(volumes=True)] == ["volume"]
