"""Preconditions: the order in which they are reported, and what each one becomes."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api import reasons
from controller.backends.observation import Blocker, Observed, ObservedDevice
from controller.runtimes import preconditions
from tests.runtimes.plan_table import ABSENT, DETACHED, OUT_OF_ORDER, RUNNING, SPEC, desired, seen

UNPLUGGED: dict[str, Any] = {"in_order": False, "detail": "usb-plc is not plugged in", "awaits": reasons.DEVICE_MISSING}
OPTIONAL, REQUIRED = ObservedDevice("line", **UNPLUGGED), ObservedDevice("line", required=True, **UNPLUGGED)
TAKEN = (reasons.DEVICE_IN_USE, "plc-2 uses usb-plc")
WIFI = (reasons.WIFI_PARENT, "eth0 is Wi-Fi")


@pytest.mark.parametrize(
    ("observed", "outcome"),
    [
        pytest.param(ABSENT, None, id="nothing blocks it"),
        pytest.param(
            seen(ABSENT, missing_parents=("eth0",), devices=(REQUIRED,), start_blockers=(WIFI,)),
            ("waiting", reasons.PARENT_MISSING),
            id="a missing parent comes first",
        ),
        pytest.param(
            seen(ABSENT, devices=(REQUIRED,), start_blockers=(WIFI,)),
            ("waiting", reasons.DEVICE_MISSING),
            id="then a missing device",
        ),
        pytest.param(
            seen(ABSENT, devices=(OPTIONAL,), start_blockers=(WIFI, TAKEN)),
            ("stalled", reasons.WIFI_PARENT),
            id="then the first thing the backend has against it",
        ),
    ],
)
def test_a_start(observed: Observed, outcome: tuple[str, str] | None) -> None:
    found = preconditions.to_start(observed)
    assert (found and found[:2]) == outcome


@pytest.mark.parametrize(
    ("observed", "outcome"),
    [
        pytest.param(RUNNING, None, id="it runs as asked"),
        pytest.param(
            seen(state="starting", blocker=Blocker(reasons.UNSCHEDULABLE, "no node"), missing_parents=("eth0",)),
            ("waiting", reasons.UNSCHEDULABLE, "no node"),
            id="it does not run yet",
        ),
        pytest.param(
            seen(state="restarting", exit_code=3, missing_parents=("eth0",)),
            ("retry", reasons.CRASHED, "The program exited (exit code 3) and is restarted"),
            id="it crashed",
        ),
        pytest.param(
            seen(state="restarting", oom_killed=True),
            ("retry", reasons.CRASHED, "The program exited (out of memory) and is restarted"),
            id="it ran out of memory",
        ),
        pytest.param(
            seen(interfaces=OUT_OF_ORDER, missing_parents=("eth0",)),
            ("waiting", reasons.PARENT_MISSING, "The host has no interface eth0 now: plug it in"),
            id="its parent is missing",
        ),
        pytest.param(
            seen(interfaces=DETACHED, devices=(REQUIRED,)),
            (
                "retry",
                reasons.DETACHED,
                "The container does not match the spec: lan0: lan0 is not attached; line: usb-plc is not plugged in",
            ),
            id="drift of several facets, some of it repairable",
        ),
        pytest.param(
            seen(devices=(REQUIRED,)),
            ("waiting", reasons.DEVICE_MISSING, "The container runs, but line: usb-plc is not plugged in"),
            id="drift that waits",
        ),
        pytest.param(seen(devices=(OPTIONAL,)), None, id="drift that does not affect readiness"),
        pytest.param(
            seen(fault="eth1 is not in the runtime", start_blockers=(WIFI,)),
            ("stalled", reasons.WIFI_PARENT, "The container runs, but dedicated interface: eth1 is not in the runtime"),
            id="drift that a person has to end",
        ),
    ],
)
def test_readiness(observed: Observed, outcome: tuple[str, str, str] | None) -> None:
    assert preconditions.to_run_as_asked(SPEC, observed) == outcome


def test_a_setting_can_forbid_the_spec() -> None:
    assert preconditions.to_apply(desired()) is None
    refusal = preconditions.to_apply(desired(image_allowed=False))
    assert refusal is not None
    assert refusal.reason == reasons.IMAGE_NOT_ALLOWED
