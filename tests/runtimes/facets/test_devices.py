"""The serial ports of a runtime: what blocks a start, what is repaired in place, and what the status says about it."""

from __future__ import annotations

from typing import Any

import pytest

from controller import names
from controller.api import reasons
from controller.api.runtime_status import RuntimeStatus
from controller.api.runtimes import SerialPort
from controller.backends.base import Step
from controller.backends.observation import Observed, ObservedDevice
from controller.runtimes.facets import devices
from controller.runtimes.outcome import Outcome, Report
from tests.runtimes.plan_table import PORT, RUNNING, SPEC, desired, seen, spec

LINE = SerialPort(name="line", device_id="usb-plc", container_path="/dev/line0")
ATTACHED = ObservedDevice("line", "/dev/ttyUSB0")
UNPLUGGED: dict[str, Any] = {"in_order": False, "detail": "usb-plc is not plugged in", "awaits": reasons.DEVICE_MISSING}
OPTIONAL, REQUIRED = ObservedDevice("line", **UNPLUGGED), ObservedDevice("line", required=True, **UNPLUGGED)
NO_NODE = ObservedDevice("line", "/dev/ttyUSB0", in_order=False, detail="/dev/line0 is missing")
FORMER = ObservedDevice("/dev/line9", in_order=False, detail="it is no longer in the spec")


def with_devices(*found: ObservedDevice) -> Observed:
    return seen(RUNNING, devices=found)


def report(observed: Observed) -> Report:
    target = desired(spec(serial_ports=(LINE,))).target
    return Report(target, Outcome("ready", reasons.RUNNING, ""), 0.0, "node-1", observed)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (ATTACHED, None),
        (OPTIONAL, None),
        (REQUIRED, "usb-plc is not plugged in: plug it in"),
        (
            ObservedDevice("line", in_order=False, required=True, needs_new_container=True, detail="no permission"),
            "the device of line is missing: plug it in",
        ),
    ],
    ids=["attached", "optional", "required", "required, in an old container"],
)
def test_only_a_required_device_blocks_a_start(found: ObservedDevice, message: str | None) -> None:
    outcome = devices.blocker(with_devices(found))
    assert outcome == (message and Outcome("waiting", reasons.DEVICE_MISSING, message))


def test_a_required_device_that_cannot_be_told_from_another_needs_a_person() -> None:
    found = ObservedDevice(
        "line", in_order=False, required=True, awaits=reasons.DEVICE_AMBIGUOUS, detail="request a or b"
    )
    assert devices.blocker(with_devices(found)) == Outcome("stalled", reasons.DEVICE_AMBIGUOUS, "request a or b")


@pytest.mark.parametrize(
    ("found", "affects_ready", "steps"),
    [
        pytest.param(OPTIONAL, False, (), id="optional and unplugged"),
        pytest.param(REQUIRED, True, (), id="required and unplugged"),
        pytest.param(NO_NODE, True, (Step.ATTACH_DEVICES,), id="its node is missing"),
        pytest.param(PORT, True, (), id="no permission"),
        pytest.param(FORMER, True, (Step.ATTACH_DEVICES,), id="of a removed port"),
    ],
)
def test_drift_and_repair(found: ObservedDevice, affects_ready: bool, steps: tuple[Step, ...]) -> None:
    (drift,) = devices.drift(SPEC, with_devices(found))
    assert (drift.name, drift.detail, drift.awaits) == (found.name, found.detail, found.awaits)
    assert drift.affects_ready is affects_ready
    assert devices.repair(desired(), with_devices(found)) == steps


def test_an_attached_device_is_no_drift() -> None:
    assert devices.drift(SPEC, with_devices(ATTACHED)) == []


@pytest.mark.parametrize(("found", "expected"), [(PORT, True), (NO_NODE, False)])
def test_only_missing_permission_asks_for_a_new_container(found: ObservedDevice, expected: bool) -> None:
    assert devices.expires(with_devices(ATTACHED, found)) is expected


@pytest.mark.parametrize(
    ("found", "status", "reason"),
    [
        ((ATTACHED,), "True", reasons.ATTACHED),
        ((NO_NODE,), "False", reasons.DETACHED),
        ((OPTIONAL,), "False", reasons.DEVICE_MISSING),
        ((OPTIONAL, NO_NODE), "False", reasons.DEVICE_MISSING),
    ],
    ids=["attached", "repairable", "unplugged", "the first one names the reason"],
)
def test_the_condition(found: tuple[ObservedDevice, ...], status: str, reason: str) -> None:
    observed = with_devices(*found)
    condition = devices.condition(report(observed), observed, devices.drift(SPEC, observed))
    assert condition is not None
    assert (condition.type, condition.status, condition.reason) == (names.DEVICES_ATTACHED, status, reason)


def test_a_runtime_without_ports_has_no_condition() -> None:
    assert devices.condition(report(RUNNING), RUNNING, ()) is None


def test_the_status_has_the_ports_of_the_spec() -> None:
    observed = with_devices(NO_NODE, FORMER)
    (port,) = devices.status(RuntimeStatus(), report(observed), observed)["serial_ports"]
    assert (port.name, port.device_path, port.attached) == ("line", "/dev/ttyUSB0", False)
    assert port.message == "/dev/line0 is missing"
