"""A replacement that is interrupted at any point converges, and never leaves the runtime without a container."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controller import errors
from controller.api import reasons
from controller.backends import base
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.containers import labels
from controller.backends.docker.containers.creator import ContainerCreator
from controller.backends.docker.engine.client import Engine
from controller.backends.docker.engine.failures import Refusal
from tests.backends.conftest import BackendHarness, interface
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


class Crash(BaseException):
    """The controller is killed."""


def crash_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate the death of the process after this many calls that change something."""
    reached = iter(range(calls))
    run = Engine._run

    async def limited_run(self: Engine, lane: Any, function: Callable[[Any], Any]) -> Any:
        result = await run(self, lane, function)
        name = getattr(function, "func", function).__qualname__
        changes = name.startswith(("Lifecycle", "Engine.stop")) or name.endswith("<locals>.create")
        if changes and next(reached, None) is None:
            raise Crash
        return result

    monkeypatch.setattr(Engine, "_run", limited_run)


# The process dies after each of stop, rename, create, start, and removal of the old container.
@pytest.mark.parametrize("calls", range(5), ids=["stop", "rename", "create", "start", "remove"])
async def test_an_interrupted_replacement_converges(
    harness: BackendHarness,
    new_backend: Callable[[str], DockerBackend],
    lan: Lan,
    monkeypatch: pytest.MonkeyPatch,
    calls: int,
) -> None:
    wired: dict[str, Any] = {"interfaces": [interface(lan, 10)]}
    old = await harness.up(harness.target(**wired))
    mac = lan.mac_of(lan.address(10))
    desired = await harness.run(harness.target(version="2", **wired), base.Step.RESOLVE_IMAGE)
    with monkeypatch.context() as patched:
        crash_after(calls, patched)
        with pytest.raises(Crash):
            await harness.run(desired, base.Step.REPLACE_CONTAINER)

    harness.backend = new_backend(harness.install_id)
    observed = await harness.backend.observe(desired)
    listed = [container.name for container in await harness.backend.list_containers()]
    assert bool(observed.predecessor) is (labels.previous_name(desired.identity) in listed)
    if observed.predecessor:
        await harness.run(desired, base.Step.FINISH_REPLACEMENT)
    if (await harness.backend.observe(desired)).image.pin != desired.image:
        await harness.run(desired, base.Step.REPLACE_CONTAINER)

    observed = await harness.backend.observe(desired)
    assert observed.running
    assert observed.image.pin == desired.image != old.image
    assert not observed.predecessor
    assert [orphan.name for orphan in await harness.backend.list_containers()] == [desired.identity.device_id]
    assert lan.mac_of(lan.address(10)) == mac


async def test_a_replacement_keeps_mac_and_address(harness: BackendHarness, lan: Lan) -> None:
    wired: dict[str, Any] = {"interfaces": [interface(lan, 10)]}
    await harness.up(harness.target(**wired))
    mac = lan.mac_of(lan.address(10))

    await harness.run(harness.target(version="2", **wired), base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER)

    assert mac is not None
    assert lan.mac_of(lan.address(10)) == mac


async def test_an_impossible_replacement_stops_nothing(harness: BackendHarness, lan: Lan) -> None:
    target = await harness.up(harness.target("plc1", interfaces=[interface(lan, 10)]))
    other = await harness.up(harness.target("plc2", interfaces=[interface(lan, 11)]))
    before, _ = await harness.backend.observe(target), await harness.backend.observe(other)

    with pytest.raises(errors.Waiting, match="has the address"):
        await harness.run(
            harness.target("plc1", version="2", interfaces=[interface(lan, 11)]),
            base.Step.RESOLVE_IMAGE,
            base.Step.REPLACE_CONTAINER,
        )

    assert (await harness.backend.observe(target)).started_at == before.started_at


async def test_a_rollback_restores_the_old_interfaces(harness: BackendHarness, lan: Lan) -> None:
    old = await harness.up(harness.target(interfaces=[interface(lan, 10, "plant")]))
    desired = harness.target(version="crash", interfaces=[interface(lan, 20, "cell")])

    with pytest.raises(errors.Stalled):
        await harness.run(desired, base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER)

    assert all(found.in_order for found in (await harness.backend.observe(old)).network.interfaces)
    assert lan.ping(lan.address(10))


async def test_finishing_an_interrupted_replacement_of_a_stopped_runtime_starts_nothing(
    harness: BackendHarness, new_backend: Callable[[str], DockerBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.up(harness.target())
    desired = await harness.run(harness.target(version="2"), base.Step.RESOLVE_IMAGE)
    with monkeypatch.context() as patched:
        crash_after(2, patched)
        with pytest.raises(Crash):
            await harness.run(desired, base.Step.REPLACE_CONTAINER)

    harness.backend = new_backend(harness.install_id)
    stopped = harness.target(version="2", desiredState="Stopped")
    await harness.run(stopped, base.Step.FINISH_REPLACEMENT)

    observed = await harness.backend.observe(stopped)
    assert (observed.state, observed.predecessor) == ("created", "")


async def test_a_volume_of_another_runtime_is_noticed_before_the_stop(harness: BackendHarness, api: Any) -> None:
    before = await harness.backend.observe(await harness.up(harness.target()))
    volumes = [{"name": "data", "mountPath": "/data"}]
    desired = harness.target(version="2", volumes=volumes)
    name = labels.volume_name(desired.identity, "data")
    other = desired.identity._replace(device_id="plc-of-others")
    api.create_volume(name, labels=labels.of_identity(other))
    try:
        with pytest.raises(errors.ReconcileError) as raised:
            await harness.run(desired, base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER)
    finally:
        api.remove_volume(name)

    assert raised.value.reason != reasons.REPLACE_FAILED
    assert (await harness.backend.observe(desired)).started_at == before.started_at


@pytest.mark.parametrize(
    "cause",
    [errors.Waiting(reasons.ADDRESS_CONFLICT, "a machine has it"), Refusal(500, "no space left on device")],
    ids=["a conflict that begins after the check", "a disk that is full meanwhile"],
)
async def test_a_passing_cause_is_rolled_back_and_tried_again(
    harness: BackendHarness, monkeypatch: pytest.MonkeyPatch, cause: Exception
) -> None:
    old = await harness.backend.observe(await harness.up(harness.target()))
    desired = await harness.run(harness.target(version="2"), base.Step.RESOLVE_IMAGE)

    async def fails(*_: object) -> None:
        raise cause

    with monkeypatch.context() as patched:
        patched.setattr(ContainerCreator, "create_from", fails)
        with pytest.raises(errors.ReconcileError) as raised:
            await harness.run(desired, base.Step.REPLACE_CONTAINER)
    assert raised.value.reason in (reasons.ADDRESS_CONFLICT, reasons.DISK_FULL)
    observed = await harness.backend.observe(desired)
    assert (observed.running, observed.container_id, observed.predecessor) == (True, old.container_id, "")

    await harness.run(desired, base.Step.REPLACE_CONTAINER)
    assert (await harness.backend.observe(desired)).container_id != old.container_id
