"""The status after a pass: the summary conditions, what the observation adds, and what is kept without one."""

from __future__ import annotations

from typing import Any

import pytest

from controller import names
from controller.api import reasons
from controller.api.runtime_status import InterfaceStatus, RuntimeStatus, SerialPortStatus
from controller.api.runtimes import SerialPort
from controller.backends.observation import Observed, ObservedDevice
from controller.machinery import conditions
from controller.runtimes import status
from controller.runtimes.outcome import Outcome, Report, of_reason
from tests.runtimes.plan_table import ABSENT, EXITED, RUNNING, STARTED, desired, seen, spec

LINE = SerialPort(name="line", device_id="usb-plc", container_path="/dev/line0")
READY = Outcome("ready", reasons.RUNNING, "It runs")
PROGRESS = of_reason(reasons.PROGRESSING, "Starting")
PAUSED = Outcome("paused", reasons.PAUSED, "spec.paused is set")
KNOWN = RuntimeStatus(container_id="c0", state="Running", started_at=STARTED, image="pin-0", restart_count=3)


def after(
    observed: Observed | None, outcome: Outcome = READY, previous: RuntimeStatus = KNOWN, **values: Any
) -> RuntimeStatus:
    """The status of a runtime with one serial port after a pass with generation 2."""
    target = desired(spec(serial_ports=(LINE,))).target
    return status.after(previous, Report(target, outcome, 0.0, "node-1", observed, **values))


def shown(found: RuntimeStatus) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {condition.type: (condition.status, condition.reason) for condition in found.conditions}


@pytest.mark.parametrize(
    ("outcome", "observed", "ready", "reconciling", "stalled"),
    [
        pytest.param(READY, RUNNING, "True", "False", "False", id="ready"),
        pytest.param(PROGRESS, RUNNING, "False", "True", "False", id="waiting"),
        pytest.param(PROGRESS, None, "Unknown", "True", "False", id="waiting, and nothing is observed"),
        pytest.param(of_reason(reasons.STEP_FAILED, "x"), None, "False", "True", "False", id="retried"),
        pytest.param(of_reason(reasons.NAME_TAKEN, "x"), ABSENT, "False", "False", "True", id="stalled"),
        pytest.param(of_reason(reasons.NODE_AWAY, "x"), RUNNING, "Unknown", "True", "False", id="its node is away"),
        pytest.param(PAUSED, RUNNING, "Unknown", "False", "False", id="paused"),
    ],
)
def test_the_summary(outcome: Outcome, observed: Observed | None, ready: str, reconciling: str, stalled: str) -> None:
    found = shown(after(observed, outcome))
    expected = {names.READY: ready, names.RECONCILING: reconciling, names.STALLED: stalled}
    assert {kind: found[kind] for kind in expected} == {kind: (flag, outcome.reason) for kind, flag in expected.items()}


@pytest.mark.parametrize(
    ("observed", "values", "expected"),
    [
        pytest.param(ABSENT, {}, {}, id="no container"),
        pytest.param(EXITED, {}, {}, id="a stopped container has no network condition"),
        pytest.param(RUNNING, {}, {names.NETWORK_ATTACHED: ("True", reasons.ATTACHED)}, id="a running one has"),
        pytest.param(
            seen(EXITED, health="unhealthy"), {}, {names.HEALTHY: ("False", reasons.UNHEALTHY)}, id="its health"
        ),
        pytest.param(
            seen(EXITED, warnings=((reasons.EXCESS_RIGHTS, "x"), (reasons.REALTIME_UNAVAILABLE, "x"))),
            {},
            {
                names.CONFINED: ("False", reasons.EXCESS_RIGHTS),
                names.REALTIME_AVAILABLE: ("False", reasons.REALTIME_UNAVAILABLE),
            },
            id="warnings of facets",
        ),
        pytest.param(
            EXITED,
            {"image_allowed": False},
            {names.IMAGE_ALLOWED: ("False", reasons.IMAGE_NOT_ALLOWED)},
            id="a setting that forbids its image",
        ),
        pytest.param(
            seen(EXITED, devices=(ObservedDevice("line", "/dev/ttyUSB0"),)),
            {},
            {names.DEVICES_ATTACHED: ("True", reasons.ATTACHED)},
            id="its devices",
        ),
        pytest.param(
            seen(fault="eth1 is not in the runtime"),
            {},
            {names.NETWORK_ATTACHED: ("False", reasons.DETACHED)},
            id="the dedicated interface belongs to the network",
        ),
    ],
)
def test_an_observation_adds_conditions(
    observed: Observed, values: dict[str, Any], expected: dict[str, tuple[str, str]]
) -> None:
    summary = {names.READY, names.RECONCILING, names.STALLED}
    found = shown(after(observed, **values))
    assert {kind: found[kind] for kind in found.keys() - summary} == expected


def test_without_an_observation_the_facts_and_their_conditions_stay() -> None:
    before = after(RUNNING)
    now = after(None, of_reason(reasons.DAEMON_UNREACHABLE, "Docker does not answer"), before)
    assert shown(now)[names.NETWORK_ATTACHED] == ("True", reasons.ATTACHED)
    assert (now.container_id, now.state, now.interfaces) == (before.container_id, before.state, before.interfaces)


def test_a_removed_port_is_reported_in_the_condition_only() -> None:
    former = ObservedDevice("/dev/line9", in_order=False, detail="it is no longer in the spec")
    found = after(seen(devices=(ObservedDevice("line", "/dev/ttyUSB0"), former)))
    assert [port.name for port in found.serial_ports] == ["line"]
    condition = conditions.find(found.conditions, names.DEVICES_ATTACHED)
    assert condition
    assert condition.message == "/dev/line9: it is no longer in the spec"


def test_excess_rights_do_not_affect_ready() -> None:
    found = shown(after(seen(warnings=((reasons.EXCESS_RIGHTS, "it may make device nodes"),))))
    assert (found[names.CONFINED], found[names.READY][0]) == (("False", reasons.EXCESS_RIGHTS), "True")


@pytest.mark.parametrize(
    ("outcome", "observed_generation", "applied", "failed"),
    [
        (READY, 2, 2, None),
        (PROGRESS, -1, 1, 1),
        (of_reason(reasons.SPEC_IMPOSSIBLE, "x"), 2, 1, 1),
        (of_reason(reasons.REPLACE_FAILED, "x"), 2, 1, 2),
    ],
    ids=["ready", "waiting", "stalled", "rolled back"],
)
def test_the_generations(outcome: Outcome, observed_generation: int, applied: int, failed: int | None) -> None:
    before = RuntimeStatus(applied_generation=1, failed_generation=1)
    now = after(RUNNING, outcome, before)
    found = (now.observed_generation, now.applied_generation, now.failed_generation)
    assert found == (observed_generation, applied, failed)


def test_without_its_container_a_runtime_keeps_its_history_only() -> None:
    facts: dict[str, Any] = {
        "interfaces": (InterfaceStatus(name="lan0"),),
        "serial_ports": (SerialPortStatus(name="line"),),
        "internal_ip": "172.20.0.2",
        "health": "healthy",
    }
    gone = status.without_container(KNOWN.model_copy(update=facts))
    assert gone == RuntimeStatus(image="pin-0", restart_count=3)


@pytest.mark.parametrize(
    ("before", "now", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {}, {"a": None}),
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
    ids=["equal", "changed", "removed", "added"],
)
def test_only_changed_fields_are_patched(before: dict[str, Any], now: dict[str, Any], patch: dict[str, Any]) -> None:
    assert status.changes(before, now) == patch
