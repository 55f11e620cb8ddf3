"""Which objects on an engine are ours, and which are never touched."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from docker import errors as docker_errors

from controller import errors, names
from controller.api import reasons
from controller.backends import base
from controller.backends.base import Target
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.containers import creator
from controller.backends.docker.engine.failures import Refusal
from controller.runtimes import plan
from controller.runtimes.desired import Desired
from tests.backends.conftest import BackendHarness

pytestmark = pytest.mark.docker


@pytest.fixture
def foreign_names(api: Any) -> Iterator[list[str]]:
    """Names of containers that are not ours; removed afterwards."""
    made: list[str] = []
    yield made
    for name in made:
        api.remove_container(name, force=True, v=True)


def create_foreign(
    api: Any, foreign_names: list[str], harness: BackendHarness, name: str, labels: dict[str, str]
) -> str:
    """Create a container that is not ours."""
    foreign_names.append(name)
    return str(api.create_container(f"{harness.image}:1", name=name, labels=labels)["Id"])


async def test_a_name_that_is_taken_stalls_and_leaves_the_other_alone(
    harness: BackendHarness, api: Any, foreign_names: list[str]
) -> None:
    target = harness.target()
    foreign = create_foreign(api, foreign_names, harness, target.identity.device_id, {})

    with pytest.raises(errors.Stalled) as taken:
        await harness.up(target)
    observed = await harness.backend.observe(target)
    await harness.down(target)

    assert taken.value.reason == reasons.NAME_TAKEN
    assert (observed.exists, observed.foreign[:9]) == (False, "container")
    assert await harness.backend.foreign_container(target.identity.device_id) == observed.foreign
    assert api.inspect_container(foreign)["State"]["Status"] == "created"


async def test_a_name_that_another_namespace_uses_stalls_and_names_its_runtime(
    harness: BackendHarness, api: Any
) -> None:
    first = await harness.up(harness.target())
    name = first.identity.device_id
    second = dataclasses.replace(first, identity=first.identity._replace(namespace="other"), name="b", uid="uid-2")
    before = api.inspect_container(name)

    observed = await harness.backend.observe(second)
    with pytest.raises(errors.Stalled) as taken:
        await harness.run(second, base.Step.CREATE_CONTAINER)
    with pytest.raises(errors.Retry):
        await harness.run(second, base.Step.START_CONTAINER)
    await harness.down(second)
    stalled = plan.make(Desired(second), observed)

    assert (observed.exists, observed.foreign) == (False, "")
    assert observed.neighbour.startswith(f"Runtime edge/{first.name} owns the container {name}")
    assert taken.value.reason == stalled.outcome.reason == reasons.NAME_TAKEN
    assert str(taken.value) == stalled.outcome.message
    assert not stalled.steps
    after = api.inspect_container(name)
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])


async def renamed(harness: BackendHarness, api: Any) -> tuple[Target, dict[str, Any]]:
    """A running container that somebody renamed, with its id in the target; and its document before."""
    target = await harness.up(harness.target())
    before = api.inspect_container(target.identity.device_id)
    api.rename(before["Id"], f"other-{harness.install_id}")
    return dataclasses.replace(target, container_id=before["Id"]), before


async def test_a_renamed_container_gets_its_name_back_while_it_runs(harness: BackendHarness, api: Any) -> None:
    target, before = await renamed(harness, api)

    observed = await harness.backend.observe(target)
    steps = plan.make(Desired(target), observed).steps
    await harness.run(target, base.Step.RESTORE_NAME)

    assert (observed.running, observed.renamed) == (True, f"other-{harness.install_id}")
    assert steps == (base.Step.RESTORE_NAME,)
    after = api.inspect_container(target.identity.device_id)
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert not (await harness.backend.observe(target)).renamed


async def test_a_renamed_container_is_not_created_again_while_its_name_is_taken(
    harness: BackendHarness, api: Any, foreign_names: list[str]
) -> None:
    target, before = await renamed(harness, api)
    create_foreign(api, foreign_names, harness, target.identity.device_id, {})

    observed = await harness.backend.observe(target)
    stalled = plan.make(Desired(target), observed)

    assert (observed.running, observed.container_id) == (True, before["Id"])
    assert (stalled.outcome.reason, stalled.steps) == (reasons.NAME_TAKEN, ())
    await harness.down(target)


async def test_a_renamed_container_is_removed_with_its_runtime(harness: BackendHarness, api: Any) -> None:
    target, before = await renamed(harness, api)

    await harness.down(target)

    with pytest.raises(docker_errors.NotFound):
        api.inspect_container(before["Id"])


async def test_labels_alone_make_nothing_ours(harness: BackendHarness, api: Any, foreign_names: list[str]) -> None:
    # Containers of an image made by `docker commit` from one of ours inherit its labels.
    target = await harness.up(harness.target())
    labels = api.inspect_container(target.identity.device_id)["Config"]["Labels"]
    create_foreign(api, foreign_names, harness, f"copy-{harness.install_id}", labels)

    known = await harness.backend.list_containers()
    removed = await harness.backend.purge(volumes=True)

    assert [orphan.name for orphan in known] == [target.identity.device_id]
    assert f"container copy-{harness.install_id}" not in removed
    assert api.inspect_container(f"copy-{harness.install_id}")["Name"]


async def test_another_installation_sees_and_touches_nothing(
    harness: BackendHarness, new_backend: Callable[[str], DockerBackend]
) -> None:
    target = await harness.up(harness.target())
    other = new_backend("another")
    namesake = dataclasses.replace(target, identity=target.identity._replace(install_id="another"))

    assert (await other.observe(namesake)).foreign
    assert await other.list_containers() == []
    assert await other.running() == []
    assert await other.purge(volumes=True) == []
    assert (await harness.backend.observe(target)).running


async def test_a_container_is_adopted_under_another_uid(harness: BackendHarness) -> None:
    await harness.up(harness.target(uid="before"))

    observed = await harness.backend.observe(harness.target(uid="after"))

    assert (observed.running, observed.uid) == (True, "before")


async def test_the_spec_label_of_another_version_is_read_or_left_unreadable(
    harness: BackendHarness, api: Any, foreign_names: list[str]
) -> None:
    target = harness.target()
    given = {
        names.MANAGED_LABEL: names.MANAGED_VALUE,
        names.INSTALL_LABEL: harness.install_id,
        names.NAMESPACE_LABEL: "edge",
        names.DEVICE_LABEL: target.identity.device_id,
    }
    spec = '{"deviceId":"%s","image":"x","aFieldOfLater":1}' % target.identity.device_id  # noqa: UP031 - JSON braces
    create_foreign(api, foreign_names, harness, target.identity.device_id, given | {names.SPEC_LABEL: spec})
    readable = await harness.backend.observe(target)
    api.remove_container(foreign_names.pop())
    create_foreign(api, foreign_names, harness, target.identity.device_id, given | {names.SPEC_LABEL: "no JSON"})

    unreadable = await harness.backend.observe(target)

    assert readable.made_from is not None
    assert readable.made_from.image == "x"
    assert (unreadable.exists, unreadable.made_from) == (True, None)


async def test_a_volume_outlives_its_runtime_unless_its_policy_says_delete(harness: BackendHarness, api: Any) -> None:
    volumes = [
        {"name": "kept", "mountPath": "/kept"},
        {"name": "gone", "mountPath": "/gone", "reclaimPolicy": "Delete"},
    ]
    target = await harness.up(harness.target(volumes=volumes))
    mounts = api.inspect_container(target.identity.device_id)["Mounts"]

    await harness.down(target)

    left = [line for line in await harness.backend.list_objects(volumes=True) if line.startswith("volume")]
    assert {mount["Destination"] for mount in mounts} == {"/kept", "/gone"}
    assert left == [f"volume {next(m['Name'] for m in mounts if m['Destination'] == '/kept')}"]


async def test_a_container_is_created_with_the_settings_of_a_runtime(harness: BackendHarness, api: Any) -> None:
    spec: dict[str, Any] = {
        "realtime": {"enabled": False},
        "terminationGracePeriodSeconds": 7,
        "resources": {"memory": "64Mi"},
    }
    target = await harness.up(harness.target(**spec))

    made = api.inspect_container(target.identity.device_id)

    host = made["HostConfig"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert not host["DeviceCgroupRules"]
    assert not host["Privileged"]
    assert not host.get("Init")
    assert host["MemorySwap"] == host["Memory"] == 64 * 2**20
    assert made["Config"]["StopTimeout"] == 7


async def test_realtime_is_granted_or_omitted_with_a_warning(harness: BackendHarness, api: Any) -> None:
    target = await harness.up(harness.target(realtime={"enabled": True}))
    observed = await harness.backend.observe(target)
    limits = api.inspect_container(target.identity.device_id)["HostConfig"]["Ulimits"] or []

    warned = [reason for reason, _ in observed.warnings]

    assert observed.running
    assert warned == ([] if limits else [reasons.REALTIME_UNAVAILABLE])
    # A container that was created without it is not recreated.
    await harness.run(target, base.Step.STOP_CONTAINER, base.Step.START_CONTAINER)
    assert (await harness.backend.observe(target)).container_id == observed.container_id


@pytest.mark.parametrize("seconds", [0.0, 600.0])
async def test_realtime_is_tried_again_a_while_after_the_host_refused_it(
    harness: BackendHarness, api: Any, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    refusals, start = ["error setting rlimit type 14: operation not permitted"], docker.APIClient.start

    def refused_once(self: docker.APIClient, *arguments: Any, **options: Any) -> None:
        if refusals:
            raise Refusal(500, refusals.pop())
        start(self, *arguments, **options)

    monkeypatch.setattr(docker.APIClient, "start", refused_once)
    monkeypatch.setattr(creator, "REFUSED_SECONDS", seconds)
    await harness.up(harness.target(realtime={"enabled": True}))
    later = harness.target("plc2", realtime={"enabled": True})
    await harness.run(later, base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER)

    asked = bool(api.inspect_container(later.identity.device_id)["HostConfig"]["Ulimits"])

    assert refusals == []
    assert asked is (seconds == 0)


async def test_the_value_of_a_secret_is_in_the_environment_and_in_no_label(harness: BackendHarness, api: Any) -> None:
    reference = {"secretKeyRef": {"name": "plc", "key": "password"}}
    target = harness.target(env=[{"name": "PASSWORD", "valueFrom": reference}], realtime={"enabled": True})
    target = await harness.run(target, base.Step.RESOLVE_IMAGE)
    await harness.run(dataclasses.replace(target, secret_env={"PASSWORD": "hunter2"}), base.Step.CREATE_CONTAINER)
    # If the host refuses realtime, the start recreates the container, which must keep the values.
    await harness.run(target, base.Step.START_CONTAINER)

    config = api.inspect_container(target.identity.device_id)["Config"]

    assert "PASSWORD=hunter2" in config["Env"]
    assert "hunter2" not in json.dumps(config["Labels"])


async def test_running_lists_the_first_processes_of_running_containers(harness: BackendHarness) -> None:
    target, stopped = await harness.up(harness.target()), await harness.up(harness.target("plc2"))
    await harness.run(stopped, base.Step.STOP_CONTAINER)

    running = await harness.backend.running()

    assert [container.identity for container in running] == [target.identity]
    assert all(container.pid > 1 for container in running)
    assert running == await harness.backend.running()
