"""Which objects on an engine are ours, and which are never touched."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from docker import errors as docker_errors

from controller import errors, names
from controller.api import reasons
from controller.backends import base
from controller.backends.base import Target
from controller.backends.docker.backend import DockerBackend
from controller.runtimes import plan
from tests.backends.conftest import Bench

pytestmark = pytest.mark.docker


@pytest.fixture
def strangers(api: Any) -> Iterator[list[str]]:
    """Names of containers that are not ours; removed afterwards."""
    made: list[str] = []
    yield made
    for name in made:
        api.remove_container(name, force=True, v=True)


def look_alike(api: Any, strangers: list[str], bench: Bench, name: str, labels: dict[str, str]) -> str:
    """Create a container that is not ours."""
    strangers.append(name)
    return str(api.create_container(f"{bench.image}:1", name=name, labels=labels)["Id"])


async def test_a_name_that_is_taken_stalls_and_leaves_the_other_alone(
    bench: Bench, api: Any, strangers: list[str]
) -> None:
    target = bench.target()
    stranger = look_alike(api, strangers, bench, target.identity.device_id, {})

    with pytest.raises(errors.Stalled) as taken:
        await bench.up(target)
    observed = await bench.backend.observe(target)
    await bench.down(target)

    assert taken.value.reason == reasons.NAME_TAKEN
    assert (observed.exists, observed.foreign[:9]) == (False, "container")
    assert await bench.backend.foreign_container(target.identity.device_id) == observed.foreign
    assert api.inspect_container(stranger)["State"]["Status"] == "created"


async def test_a_name_that_another_namespace_uses_stalls_and_names_its_runtime(bench: Bench, api: Any) -> None:
    first = await bench.up(bench.target())
    name = first.identity.device_id
    second = dataclasses.replace(first, identity=first.identity._replace(namespace="other"), name="b", uid="uid-2")
    before = api.inspect_container(name)

    observed = await bench.backend.observe(second)
    with pytest.raises(errors.Stalled) as taken:
        await bench.run(second, base.Step.CREATE_CONTAINER)
    with pytest.raises(errors.Retry):
        await bench.run(second, base.Step.START_CONTAINER)
    await bench.down(second)
    stalled = plan.make(plan.Desired(second), observed)

    assert (observed.exists, observed.foreign) == (False, "")
    assert observed.neighbour.startswith(f"Runtime edge/{first.name} owns the container {name}")
    assert taken.value.reason == stalled.outcome.reason == reasons.NAME_TAKEN
    assert str(taken.value) == stalled.outcome.message
    assert not stalled.steps
    after = api.inspect_container(name)
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])


async def renamed(bench: Bench, api: Any) -> tuple[Target, dict[str, Any]]:
    """A running container that somebody renamed, with its id in the target; and its document before."""
    target = await bench.up(bench.target())
    before = api.inspect_container(target.identity.device_id)
    api.rename(before["Id"], f"other-{bench.install_id}")
    return dataclasses.replace(target, container_id=before["Id"]), before


async def test_a_renamed_container_gets_its_name_back_while_it_runs(bench: Bench, api: Any) -> None:
    target, before = await renamed(bench, api)

    observed = await bench.backend.observe(target)
    steps = plan.make(plan.Desired(target), observed).steps
    await bench.run(target, base.Step.RESTORE_NAME)

    assert (observed.running, observed.renamed) == (True, f"other-{bench.install_id}")
    assert steps == (base.Step.RESTORE_NAME,)
    after = api.inspect_container(target.identity.device_id)
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert not (await bench.backend.observe(target)).renamed


async def test_a_renamed_container_is_not_created_again_while_its_name_is_taken(
    bench: Bench, api: Any, strangers: list[str]
) -> None:
    target, before = await renamed(bench, api)
    look_alike(api, strangers, bench, target.identity.device_id, {})

    observed = await bench.backend.observe(target)
    stalled = plan.make(plan.Desired(target), observed)

    assert (observed.running, observed.container_id) == (True, before["Id"])
    assert (stalled.outcome.reason, stalled.steps) == (reasons.NAME_TAKEN, ())
    await bench.down(target)


async def test_a_renamed_container_is_removed_with_its_runtime(bench: Bench, api: Any) -> None:
    target, before = await renamed(bench, api)

    await bench.down(target)

    with pytest.raises(docker_errors.NotFound):
        api.inspect_container(before["Id"])


async def test_labels_alone_make_nothing_ours(bench: Bench, api: Any, strangers: list[str]) -> None:
    # Containers of an image made by `docker commit` from one of ours inherit its labels.
    target = await bench.up(bench.target())
    labels = api.inspect_container(target.identity.device_id)["Config"]["Labels"]
    look_alike(api, strangers, bench, f"copy-{bench.install_id}", labels)

    known = await bench.backend.known()
    removed = await bench.backend.purge(volumes=True)

    assert [orphan.name for orphan in known] == [target.identity.device_id]
    assert f"container copy-{bench.install_id}" not in removed
    assert api.inspect_container(f"copy-{bench.install_id}")["Name"]


async def test_another_installation_sees_and_touches_nothing(
    bench: Bench, new_backend: Callable[[str], DockerBackend]
) -> None:
    target = await bench.up(bench.target())
    other = new_backend("another")
    namesake = dataclasses.replace(target, identity=target.identity._replace(install_id="another"))

    assert (await other.observe(namesake)).foreign
    assert await other.known() == []
    assert await other.running() == []
    assert await other.purge(volumes=True) == []
    assert (await bench.backend.observe(target)).running


async def test_a_container_is_adopted_under_another_uid(bench: Bench) -> None:
    await bench.up(bench.target(uid="before"))

    observed = await bench.backend.observe(bench.target(uid="after"))

    assert (observed.running, observed.uid) == (True, "before")


async def test_the_spec_label_of_another_version_is_read_or_left_unreadable(
    bench: Bench, api: Any, strangers: list[str]
) -> None:
    target = bench.target()
    given = {
        names.MANAGED_LABEL: names.MANAGED_VALUE,
        names.INSTALL_LABEL: bench.install_id,
        names.NAMESPACE_LABEL: "edge",
        names.DEVICE_LABEL: target.identity.device_id,
    }
    spec = '{"deviceId":"%s","image":"x","aFieldOfLater":1}' % target.identity.device_id  # noqa: UP031 - JSON braces
    look_alike(api, strangers, bench, target.identity.device_id, given | {names.SPEC_LABEL: spec})
    readable = await bench.backend.observe(target)
    api.remove_container(strangers.pop())
    look_alike(api, strangers, bench, target.identity.device_id, given | {names.SPEC_LABEL: "no JSON"})

    unreadable = await bench.backend.observe(target)

    assert readable.made_from is not None
    assert readable.made_from.image == "x"
    assert (unreadable.exists, unreadable.made_from) == (True, None)


async def test_a_volume_outlives_its_runtime_unless_its_policy_says_delete(bench: Bench, api: Any) -> None:
    volumes = [
        {"name": "kept", "mountPath": "/kept"},
        {"name": "gone", "mountPath": "/gone", "reclaimPolicy": "Delete"},
    ]
    target = await bench.up(bench.target(volumes=volumes))
    mounts = api.inspect_container(target.identity.device_id)["Mounts"]

    await bench.down(target)

    left = [line for line in await bench.backend.belongings(volumes=True) if line.startswith("volume")]
    assert {mount["Destination"] for mount in mounts} == {"/kept", "/gone"}
    assert left == [f"volume {next(m['Name'] for m in mounts if m['Destination'] == '/kept')}"]


async def test_a_container_is_created_with_the_settings_of_a_runtime(bench: Bench, api: Any) -> None:
    spec: dict[str, Any] = {
        "realtime": {"enabled": False},
        "terminationGracePeriodSeconds": 7,
        "resources": {"memory": "64Mi"},
    }
    target = await bench.up(bench.target(**spec))

    made = api.inspect_container(target.identity.device_id)

    host = made["HostConfig"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert not host["DeviceCgroupRules"]
    assert not host["Privileged"]
    assert not host.get("Init")
    assert host["MemorySwap"] == host["Memory"] == 64 * 2**20
    assert made["Config"]["StopTimeout"] == 7


async def test_realtime_is_granted_or_omitted_with_a_warning(bench: Bench, api: Any) -> None:
    target = await bench.up(bench.target(realtime={"enabled": True}))
    observed = await bench.backend.observe(target)
    limits = api.inspect_container(target.identity.device_id)["HostConfig"]["Ulimits"] or []

    warned = [reason for reason, _ in observed.warnings]

    assert observed.running
    assert warned == ([] if limits else [reasons.REALTIME_UNAVAILABLE])
    # A container that was created without it is not recreated.
    await bench.run(target, base.Step.STOP_CONTAINER, base.Step.START_CONTAINER)
    assert (await bench.backend.observe(target)).container_id == observed.container_id


async def test_the_value_of_a_secret_is_in_the_environment_and_in_no_label(bench: Bench, api: Any) -> None:
    reference = {"secretKeyRef": {"name": "plc", "key": "password"}}
    target = bench.target(env=[{"name": "PASSWORD", "valueFrom": reference}], realtime={"enabled": True})
    target = await bench.run(target, base.Step.RESOLVE_IMAGE)
    await bench.run(dataclasses.replace(target, secret_env={"PASSWORD": "hunter2"}), base.Step.CREATE_CONTAINER)
    # If the host refuses realtime, the start recreates the container, which must keep the values.
    await bench.run(target, base.Step.START_CONTAINER)

    config = api.inspect_container(target.identity.device_id)["Config"]

    assert "PASSWORD=hunter2" in config["Env"]
    assert "hunter2" not in json.dumps(config["Labels"])


async def test_running_lists_the_first_processes_of_running_containers(bench: Bench) -> None:
    target, stopped = await bench.up(bench.target()), await bench.up(bench.target("plc2"))
    await bench.run(stopped, base.Step.STOP_CONTAINER)

    running = await bench.backend.running()

    assert [container.identity for container in running] == [target.identity]
    assert all(container.pid > 1 for container in running)
    assert running == await bench.backend.running()
