"""Passes record every start and stop with its cause, and throttle the writes of a crash loop."""

from __future__ import annotations

from typing import Any

import pytest

from controller import errors, names
from controller.api import kinds, reasons
from controller.backends import base
from controller.runtimes import status_throttle
from tests.runtimes.harness import KEY, Harness
from tests.runtimes.starts import both

COMMAND = "restart-device-0123456789abcdef"


@pytest.fixture
async def running(harness: Harness) -> Harness:
    await harness.create()
    await harness.reconcile()
    return harness


async def command(harness: Harness, topic: str, **spec: Any) -> None:
    """Change the spec as a command of the cloud does."""
    name = f"{topic.replace('_', '-')}-1"
    patch = {"metadata": {"annotations": {names.REQUESTED_BY: f"{topic} {name}"}}, "spec": spec}
    await harness.api.patch(kinds.RUNTIMES, KEY.name, KEY.namespace, patch)
    await harness.reconcile()


async def test_a_crash_is_recorded_with_its_exit_code(running: Harness) -> None:
    container = running.backend.only()
    running.backend.end(container, "restarting", 3)
    assert (await running.reconcile()).outcome.reason == reasons.CRASHED
    assert running.status()["exitCode"] == 3
    running.backend.crash(container)
    assert (await running.reconcile()).settled
    assert running.records() == both("Crashed", "exit code 3")
    assert running.status()["lastRestart"] == running.status()["restarts"][-1]
    assert running.status()["restartCount"] == 1


async def test_a_crash_between_two_passes_is_recorded_with_its_exit_code(running: Harness) -> None:
    container = running.backend.only()
    running.backend.end(container, "restarting", 3)
    running.backend.crash(container)
    await running.reconcile()
    assert running.records() == both("Crashed", "exit code 3")


async def test_out_of_memory_is_distinguished_from_a_crash(running: Harness) -> None:
    container = running.backend.only()
    running.backend.end(container, "restarting", 137)
    container.oom_killed = True
    running.backend.crash(container)
    await running.reconcile()
    assert [cause for _, cause, _ in running.records()] == ["OutOfMemory", "OutOfMemory"]


async def test_stop_and_start_by_the_cloud_are_recorded_with_topic_and_command(running: Harness) -> None:
    await command(running, "stop_device", desiredState="Stopped")
    await command(running, "start_device", desiredState="Running")
    assert running.records() == [
        ("Stopped", "Requested", "stop_device, command stop-device-1"),
        ("Started", "Requested", "start_device, command start-device-1"),
    ]
    assert running.status()["lastCommand"] == "start-device-1"


async def test_a_restart_by_the_cloud_is_recorded_with_topic_and_command(running: Harness) -> None:
    await command(running, "restart_device", restartedAt="2026-02-02T00:00:00Z")
    assert running.records() == both("Requested", "restart_device, command restart-device-1")


async def test_a_later_change_with_kubectl_is_not_attributed_to_the_last_command(running: Harness) -> None:
    await command(running, "restart_device", restartedAt="2026-02-02T00:00:00Z")
    await running.change(desiredState="Stopped")
    await running.reconcile()
    await running.change(desiredState="Running")
    await running.reconcile()
    assert running.records()[2:] == [
        ("Stopped", "Requested", "spec.desiredState is Stopped"),
        ("Started", "Requested", "spec.desiredState is Running"),
    ]


async def test_a_spec_change_is_recorded_with_its_fields(running: Harness) -> None:
    await running.change(version="2", env=[{"name": "PASSWORD", "value": "secret"}])
    await running.reconcile()
    assert running.records() == both("SpecChanged", "spec.env[PASSWORD], spec.version")


async def test_a_removal_by_hand_is_recorded(running: Harness) -> None:
    running.backend.containers.clear()
    assert (await running.reconcile()).settled
    assert running.records() == both("ByHand", "The container was removed")
    assert running.status()["restartCount"] == 1


async def test_a_start_that_waited_for_its_parent_is_recorded(running: Harness) -> None:
    container = running.backend.only()
    running.backend.missing_parents.add("eth0")
    await running.reconcile()
    running.backend.end(container, "exited", 1)
    await running.reconcile()
    running.backend.missing_parents.clear()
    await running.reconcile()
    missing = "The host has no interface eth0 now: plug it in"
    assert running.records() == [
        ("Stopped", "ByHand", "exit code 1"),
        ("Started", "ParentGone", f"start was blocked: {missing}"),
    ]


async def test_a_reboot_of_the_host_is_recorded(running: Harness) -> None:
    running.now += 3600
    running.boot_host()
    running.backend.end(running.backend.only(), "exited", 255)
    running.backend.crash(running.backend.only())
    running.backend.only().restart_count = 0
    await running.reconcile()
    assert running.records() == both("HostStarted", "The host was started")


async def test_a_restart_of_the_engine_is_recorded(running: Harness) -> None:
    running.now += 3600
    running.engine.lost(running.elapsed() - 10)
    running.backend.end(running.backend.only(), "exited", 0)
    running.backend.crash(running.backend.only())
    running.backend.only().restart_count = 0
    await running.reconcile()
    assert running.records() == both("DaemonRestarted", "Docker was restarted")


async def test_a_restart_of_the_controller_records_nothing(running: Harness) -> None:
    before = running.status()
    running.restart_controller()
    await running.reconcile()
    assert running.status() == before


async def test_a_restart_before_the_first_observation_has_an_unknown_cause(
    running: Harness,
) -> None:
    running.restart_controller()
    container = running.backend.only()
    running.backend.end(container, "exited", 137)
    running.backend.crash(container)
    container.restart_count = 0
    running.backend.unreachable = True
    await running.reconcile()
    running.backend.unreachable = False
    await running.reconcile()
    assert running.records() == both("Unknown", "It happened while the controller was not watching")


async def test_a_failed_replacement_is_recorded_once(running: Harness) -> None:
    running.backend.does_not_run.add("pin-2")
    await running.change(version="2")
    await running.reconcile()
    await running.reconcile()
    assert running.records() == both("SpecChanged", "spec.version")


async def crash_loop(harness: Harness, *, times: int, every: float) -> None:
    """Crash and restart the program, with a pass after each."""
    for _ in range(times):
        container = harness.backend.only()
        harness.now += every / 2
        harness.backend.end(container, "restarting", 3)
        await harness.reconcile()
        harness.now += every / 2
        harness.backend.crash(container)
        await harness.reconcile()


async def test_a_crash_loop_is_written_every_ten_seconds_and_loses_no_record(running: Harness) -> None:
    writes = running.status_writes()
    await crash_loop(running, times=20, every=2.5)
    assert running.status_writes() - writes <= 50 / status_throttle.WRITE_INTERVAL_SECONDS + status_throttle.BURST
    running.now += status_throttle.WRITE_INTERVAL_SECONDS
    assert not (await running.reconcile()).held_seconds
    assert running.records() == both("Crashed", "exit code 3") * 20
    assert running.status()["restartCount"] == 20


async def test_a_held_status_is_written_when_it_is_due(running: Harness) -> None:
    await crash_loop(running, times=1, every=1)
    running.backend.end(running.backend.only(), "restarting", 3)
    held = await running.reconcile()
    assert 0 < held.held_seconds <= status_throttle.WRITE_INTERVAL_SECONDS
    assert len(running.records()) == 2
    running.now += held.held_seconds
    assert not (await running.reconcile()).held_seconds
    assert len(running.records()) == 3


async def test_a_spec_change_during_a_crash_loop_is_written_at_once(running: Harness) -> None:
    await crash_loop(running, times=5, every=1)
    await running.change(desiredState="Stopped")
    assert not (await running.reconcile()).held_seconds
    assert running.condition("Ready")["reason"] == reasons.STOPPED
    assert running.records()[:10] == both("Crashed", "exit code 3") * 5
    assert running.records()[10:] == [("Stopped", "Requested", "spec.desiredState is Stopped")]


async def test_a_crash_of_the_controller_in_a_crash_loop_loses_no_count(running: Harness) -> None:
    await crash_loop(running, times=5, every=1)
    running.restart_controller()
    await running.reconcile()
    assert running.status()["restartCount"] == 5
    assert running.records()[-1] == ("Started", "Crashed", "exit code 3; the last of 4 starts")


async def test_a_start_is_recorded_once_even_if_the_first_attempt_fails(running: Harness) -> None:
    running.backend.end(running.backend.only(), "exited", 0)

    def fail_once(when: str, step: base.Step) -> None:
        if step is base.Step.START_CONTAINER:
            running.backend.fault = lambda when, step: None
            raise errors.Retry(reasons.STEP_FAILED, "the engine is busy")

    running.backend.fault = fail_once
    await running.reconcile()
    await running.reconcile()
    assert running.records() == both("ByHand", "exit code 0")


async def test_our_start_after_a_failed_start_by_the_engine_records_no_second_stop(
    running: Harness,
) -> None:
    container = running.backend.only()
    running.backend.end(container, "restarting", 137)
    container.restart_count += 1
    await running.reconcile()
    running.now += 1
    running.backend.end(container, "exited", 137)  # after a failed start the engine gives the same exit another time
    await running.reconcile()
    assert running.records() == both("Crashed", "exit code 137")


async def test_a_flapping_health_is_throttled_and_not_lost(running: Harness) -> None:
    writes, began = running.status_writes(), running.now
    while running.now < began + 50:
        running.backend.only().health = "healthy" if running.backend.only().health == "unhealthy" else "unhealthy"
        running.now += 0.5
        held = await running.reconcile()
    assert running.status_writes() - writes <= 50 / status_throttle.WRITE_INTERVAL_SECONDS + status_throttle.BURST
    running.backend.only().health = "unhealthy"
    running.now += held.held_seconds + status_throttle.WRITE_INTERVAL_SECONDS
    await running.reconcile()
    assert running.status()["health"] == "unhealthy"
    assert running.condition(names.HEALTHY)["status"] == "False"
