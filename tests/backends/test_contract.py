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
from controller.backends.observation import Observed
from tests.backends.conftest import BackendHarness

pytestmark = pytest.mark.timeout(300)

ON_DOCKER = pytest.param("docker_harness", marks=pytest.mark.docker)
ON_A_CLUSTER = pytest.param("pods_harness", marks=pytest.mark.cluster)


@pytest.fixture(params=[ON_DOCKER, ON_A_CLUSTER])
def harness(request: pytest.FixtureRequest) -> BackendHarness:
    """Each backend."""
    found: BackendHarness = request.getfixturevalue(request.param)
    return found


async def test_a_runtime_that_does_not_exist_is_observed_as_absent(harness: BackendHarness) -> None:
    observed = await harness.backend.observe(harness.target())

    assert observed == Observed()


async def test_a_runtime_runs_with_its_spec_and_records_it(harness: BackendHarness) -> None:
    target = harness.target(env=[{"name": "MODE", "value": "run"}], resources={"cpu": "500m", "memory": "64Mi"})

    target = await harness.up(target)
    observed = await harness.backend.observe(target)

    assert observed.running
    assert observed.made_from == target.spec
    assert observed.uid == target.uid
    assert observed.image.pin == target.image
    assert observed.image.source == target.spec.image_reference
    assert observed.network.internal_attached
    assert ipaddress.IPv4Address(observed.network.internal_ip).is_private or observed.network.internal_ip.startswith(
        "100."
    )
    assert observed.limits.cpu == "500m"
    assert observed.limits.memory == str(64 * 2**20)
    assert observed.started_at


async def test_repeating_steps_changes_nothing(harness: BackendHarness) -> None:
    target = await harness.up(harness.target())
    first = await harness.settled(target, healthy=True)

    await harness.run(
        target,
        base.Step.RESOLVE_IMAGE,
        base.Step.CREATE_CONTAINER,
        base.Step.START_CONTAINER,
        base.Step.REPAIR_NETWORKS,
        base.Step.UPDATE_RESOURCES,
        base.Step.FINISH_REPLACEMENT,
    )

    assert await harness.backend.observe(target) == first


async def test_a_running_runtime_is_handed_over_without_a_change(harness: BackendHarness) -> None:
    target = await harness.up(harness.target())
    before = await harness.settled(target, healthy=True)
    successor = dataclasses.replace(target, name=f"{target.name}-b")
    if harness.own:
        successor = dataclasses.replace(successor, uid=await harness.own(successor))

    owner_uid = await harness.backend.owner_uid(target.identity)
    await harness.backend.hand_over(successor)
    await harness.backend.hand_over(successor)

    assert owner_uid == target.uid
    assert await harness.backend.observe(successor) == before


async def test_a_runtime_that_does_not_exist_has_no_owner_and_can_be_handed_over(harness: BackendHarness) -> None:
    await harness.backend.hand_over(harness.target())

    assert await harness.backend.owner_uid(harness.target().identity) == ""


async def test_a_stopped_runtime_stays_and_starts_again(harness: BackendHarness) -> None:
    target = await harness.up(harness.target())
    await harness.ready(target)

    await harness.run(target, base.Step.STOP_CONTAINER, base.Step.STOP_CONTAINER)
    stopped = await harness.backend.observe(target)
    await harness.run(target, base.Step.START_CONTAINER)

    assert (stopped.state, stopped.exit_code or 0) == ("exited", 0)
    assert (await harness.settled(target)).container_id == stopped.container_id


async def test_a_restart_is_another_start_of_the_same_container(harness: BackendHarness) -> None:
    target = await harness.up(harness.target())
    before = await harness.backend.observe(target)

    await harness.run(target, base.Step.RESTART_CONTAINER)

    after = await harness.settled(target)
    assert after.container_id == before.container_id
    assert after.started_at > before.started_at
    assert after.restart_count == 0


async def test_a_removed_runtime_leaves_nothing(harness: BackendHarness) -> None:
    target = await harness.up(harness.target())

    await harness.down(target)
    await harness.down(target)

    assert await harness.backend.observe(target) == Observed()
    assert await harness.backend.list_containers() == []


async def test_limits_change_on_the_running_container_and_can_be_lifted(harness: BackendHarness) -> None:
    target = await harness.up(harness.target(resources={"cpu": "1", "memory": "64Mi"}))
    before = await harness.backend.observe(target)

    for limits in ({"cpu": "500m", "memory": "128Mi"}, {"cpu": None, "memory": None}):
        desired = dataclasses.replace(target, spec=harness.target(resources=limits).spec)
        await harness.run(desired, base.Step.UPDATE_RESOURCES)
        observed = await harness.backend.observe(desired)
        expected = {"cpu": limits["cpu"], "memory": limits["memory"] and str(128 * 2**20)}

        assert observed.limits.model_dump() == expected
        assert observed.started_at == before.started_at


async def test_a_replacement_runs_the_new_version_and_removes_the_old_container(harness: BackendHarness) -> None:
    target = await harness.up(harness.target())
    old = await harness.backend.observe(target)

    target = await harness.run(harness.target(version="2"), base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER)

    new = await harness.backend.observe(target)
    assert new.running
    assert new.container_id != old.container_id
    assert new.image.source.endswith(":2")
    assert not new.predecessor


async def test_a_replacement_that_does_not_run_is_rolled_back(harness: BackendHarness) -> None:
    target = await harness.up(harness.target())
    old = await harness.backend.observe(target)

    with pytest.raises(errors.Stalled) as failure:
        await harness.run(harness.target(version="crash"), base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER)

    assert failure.value.reason == reasons.REPLACE_FAILED
    observed = await harness.backend.observe(target)
    assert (observed.running, observed.container_id, observed.predecessor) == (True, old.container_id, "")


async def test_replacing_a_stopped_runtime_starts_nothing(harness: BackendHarness) -> None:
    target = await harness.up(harness.target())
    await harness.run(target, base.Step.STOP_CONTAINER)

    target = await harness.run(
        harness.target(version="2", desiredState="Stopped"), base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER
    )

    assert (await harness.backend.observe(target)).state in ("created", "exited")


async def test_changes_begin_with_connected_and_then_name_the_runtime(harness: BackendHarness) -> None:
    target = harness.target()
    async with aclosing(harness.backend.changes()) as changes, asyncio.timeout(60):
        assert await anext(changes) is base.Contact.CONNECTED
        await harness.up(target)
        assert await anext(changes) == target.identity


async def test_list_containers_includes_running_and_stopped_containers(harness: BackendHarness) -> None:
    target, stopped = await harness.up(harness.target()), await harness.up(harness.target("plc2"))
    await harness.run(stopped, base.Step.STOP_CONTAINER)

    assert {orphan.identity for orphan in await harness.backend.list_containers()} == {
        target.identity,
        stopped.identity,
    }


async def test_logs_are_what_the_program_printed(harness: BackendHarness) -> None:
    target = await harness.up(harness.target())
    await harness.ready(target)
    async with asyncio.timeout(60), aclosing(await harness.backend.logs(target.identity, tail=5, follow=True)) as lines:
        assert b"control server ready" in await anext(lines)
    read = await harness.backend.logs(target.identity, tail=5, follow=False)

    assert b"control server ready\n" in b"".join([part async for part in read])


async def test_logs_of_a_runtime_that_does_not_exist_are_not_found(harness: BackendHarness) -> None:
    with pytest.raises(errors.NotFoundError):
        await harness.backend.logs(harness.target().identity, tail=5, follow=False)


async def test_purge_removes_everything_that_it_lists(harness: BackendHarness) -> None:
    target = await harness.up(harness.target(volumes=[{"name": "data", "mountPath": "/data"}]))

    found = await harness.backend.list_objects(volumes=True)
    removed = await harness.backend.purge(volumes=True)

    assert removed == found
    assert f"container {target.identity.device_id}" in removed
    assert [line.split()[0] for line in removed] == ["container", "network", "volume"]
    assert await harness.backend.purge(volumes=True) == []


async def test_purge_keeps_volumes_by_default(harness: BackendHarness) -> None:
    await harness.up(harness.target(volumes=[{"name": "data", "mountPath": "/data"}]))

    await harness.backend.purge(volumes=False)

    assert [line.split()[0] for line in await harness.backend.list_objects(volumes=True)] == ["volume"]
