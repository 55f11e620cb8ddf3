"""The status after a pass."""

from __future__ import annotations

from dataclasses import replace

from controller import names
from controller.api import reasons, runtimes
from controller.api.runtime_status import RuntimeStatus
from controller.backends.observation import Observed, ObservedDevice
from controller.machinery import conditions
from controller.runtimes import status
from controller.runtimes.outcome import Outcome, Report
from tests.runtimes.plan_table import RUNNING, desired, spec

LINE = runtimes.SerialPort(name="line", device_id="usb-plc", container_path="/dev/line0")


def status_of(observed: Observed) -> RuntimeStatus:
    """The status of a runtime with one serial port."""
    outcome = Outcome("ready", reasons.RUNNING, "It runs")
    target = desired(spec(serial_ports=(LINE,))).target
    return status.after(RuntimeStatus(), Report(target, outcome, 0.0, "node-1", observed))


def test_a_removed_port_is_reported_in_the_condition_only() -> None:
    former = ObservedDevice("/dev/line9", in_order=False, detail="it is no longer in the spec")
    found = status_of(replace(RUNNING, devices=(ObservedDevice("line", "/dev/ttyUSB0"), former)))
    assert [port.name for port in found.serial_ports] == ["line"]
    condition = conditions.find(found.conditions, names.DEVICES_ATTACHED)
    assert condition
    assert condition.message == "/dev/line9: it is no longer in the spec"


def test_excess_rights_are_a_condition_and_do_not_affect_ready() -> None:
    found = status_of(replace(RUNNING, warnings=((reasons.EXCESS_RIGHTS, "it may make device nodes"),)))
    confined, ready = (conditions.find(found.conditions, kind) for kind in (names.CONFINED, names.READY))
    assert confined
    assert ready
    assert (confined.status, confined.reason) == ("False", reasons.EXCESS_RIGHTS)
    assert ready.status == "True"
