"""Each stop and start of a runtime is recorded with its cause."""

from __future__ import annotations

from typing import Any

import pytest

from controller import names
from controller.api import reasons
from controller.api.runtime_status import RestartIntent, RestartRecord, RuntimeStatus
from controller.backends.observation import Observed
from controller.machinery.conditions import Condition
from controller.runtimes.restart_context import Absence, Attribution
from tests.runtimes.starts import BEFORE_LAST, ENDED, FIRST, SECOND, UP, before, both, exited, new_records, restarted


def missing(condition: str, reason: str, message: str) -> Condition:
    return Condition(type=condition, status="False", reason=reason, message=message, last_transition_time=FIRST)


INTENT = RestartIntent(token="2026-01-01T10:59:59Z", previous_started_at=FIRST)
NO_PARENT = missing(names.NETWORK_ATTACHED, reasons.PARENT_MISSING, "eth7 is missing")
NO_DEVICE = missing(names.DEVICES_ATTACHED, reasons.DEVICE_MISSING, "meter: usb-1 is missing")
DETACHED = missing(names.NETWORK_ATTACHED, reasons.DETACHED, "lan0 has no route")
STOPPED = RestartRecord(time=ENDED, event="Stopped", cause="Crashed", detail="exit code 3")
SEEN = UP - 3500
ENGINE_RESTARTED = {"engine_absence": Absence(UP - 60, UP + 2), "seen_at": SEEN}
WATCHED = {"seen_at": SEEN}


@pytest.mark.parametrize(
    ("previous", "observed", "context", "records"),
    [
        pytest.param(
            before(),
            restarted(),
            {"own": Attribution("Requested", "restart_device, command c-1"), "boot_id": "another", "elapsed": 9.0},
            both("Requested", "restart_device, command c-1"),
            id="our own step takes precedence",
        ),
        pytest.param(
            before(restart=INTENT),
            restarted(),
            {"request": "restart_device, command c-1"},
            both("Requested", "restart_device, command c-1"),
            id="a command, then the controller was killed",
        ),
        pytest.param(
            before(restart=INTENT),
            restarted(),
            {},
            both("Requested", "spec.restartedAt 2026-01-01T10:59:59Z"),
            id="restartedAt, then the controller was killed",
        ),
        pytest.param(
            before(),
            exited(),
            {"stop_requested": True},
            [("Stopped", "Requested", "spec.desiredState is Stopped")],
            id="a stop, then the controller was killed",
        ),
        pytest.param(
            before(),
            restarted(),
            {"boot_id": "another", "elapsed": 9.0},
            both("HostStarted", "The host was started"),
            id="the host was started",
        ),
        pytest.param(
            before(),
            restarted(),
            {"elapsed": 9.0},
            both("HostStarted", "The host was started"),
            id="the host has been up for less than the run before",
        ),
        pytest.param(
            before(started_at="1970-01-01T00:00:30Z", finished_at=None),
            restarted(restart_count=1),
            {},
            both("Crashed", "exit code 3"),
            id="a crash after a start in 1970",
        ),
        pytest.param(
            before(started_at="2080-01-01T00:00:00Z"),
            restarted(),
            ENGINE_RESTARTED,
            both("DaemonRestarted", "Docker was restarted"),
            id="dockerd, after a start in 2080",
        ),
        pytest.param(
            before(boot_id=None, started_seconds=None),
            restarted(restart_count=1),
            {},
            both("Crashed", "exit code 3"),
            id="a crash after an upgrade from a version without boot id",
        ),
        pytest.param(
            before(),
            exited(started_at=SECOND, exit_code=0),
            ENGINE_RESTARTED,
            [
                ("Started", "DaemonRestarted", "Docker was restarted"),
                ("Stopped", "DaemonRestarted", "Docker was restarted"),
            ],
            id="dockerd, and the program exited at once",
        ),
        pytest.param(
            before(started_seconds=int(UP) - 1),
            restarted(restart_count=1),
            {"engine_absence": Absence(UP - 60, UP - 50), "seen_at": SEEN},
            both("Crashed", "exit code 3"),
            id="a crash soon after dockerd came back",
        ),
        pytest.param(
            before(state="Restarting", started_at=SECOND, finished_at="2026-01-01T10:00:00Z", restarts=(STOPPED,)),
            exited(state="exited", started_at=SECOND, finished_at="2026-01-01T10:00:09Z", error="no such device"),
            {},
            [],
            id="a failed start after the clock was set back is no second stop",
        ),
        pytest.param(before(), restarted(restart_count=1), {}, both("Crashed", "exit code 3"), id="a crash"),
        pytest.param(
            before(),
            restarted(restart_count=1, exit_code=None),
            {},
            both("Crashed", "exit code unknown"),
            id="a crash without an exit code",
        ),
        pytest.param(
            before(),
            exited(state="restarting", exit_code=7),
            {},
            [("Stopped", "Crashed", "exit code 7")],
            id="a crash, not restarted yet",
        ),
        pytest.param(
            before(finished_at=ENDED, state="Restarting", restarts=(STOPPED,)),
            restarted(restart_count=1),
            {},
            [("Started", "Crashed", "exit code 3")],
            id="started after a recorded crash",
        ),
        pytest.param(
            before(finished_at=ENDED, state="Restarting", restarts=(STOPPED,)),
            exited(finished_at="2026-01-01T11:00:03Z", error="no such device", started_at=FIRST),
            {},
            [],
            id="a failed start by the engine is no second stop",
        ),
        pytest.param(
            before(),
            restarted(restart_count=1, oom_killed=True),
            {},
            both("OutOfMemory", "killed for lack of memory: raise spec.resources.memory"),
            id="out of memory",
        ),
        pytest.param(
            before(conditions=(NO_PARENT,)),
            restarted(restart_count=1),
            {},
            both("ParentGone", "exit code 3 while eth7 is missing"),
            id="a crash without the parent",
        ),
        pytest.param(
            before(conditions=(NO_DEVICE,)),
            restarted(restart_count=1),
            {},
            both("DeviceGone", "exit code 3 while meter: usb-1 is missing"),
            id="a crash without a serial device",
        ),
        pytest.param(
            before(conditions=(NO_PARENT,)),
            exited(error="no such device"),
            {},
            [("Stopped", "ParentGone", "exit code 3 while eth7 is missing")],
            id="a crash without the parent, which the engine could not restart",
        ),
        pytest.param(
            before(conditions=(DETACHED,)),
            restarted(restart_count=1),
            {},
            both("Crashed", "exit code 3"),
            id="a crash while the networks were repaired",
        ),
        pytest.param(
            before(), restarted(), ENGINE_RESTARTED, both("DaemonRestarted", "Docker was restarted"), id="dockerd"
        ),
        pytest.param(
            before(),
            restarted(),
            {"engine_absence": Absence(UP - 3000), "seen_at": SEEN},
            both("DaemonRestarted", "Docker was restarted"),
            id="dockerd, before its return was noticed",
        ),
        pytest.param(
            before(),
            restarted(),
            ENGINE_RESTARTED | {"seen_at": UP - 1},
            both("ByHand", "exit code 3"),
            id="by hand after it outlived dockerd with live-restore",
        ),
        pytest.param(
            before(),
            restarted(),
            {"engine_absence": Absence(UP + 60, UP + 62), "seen_at": SEEN},
            both("ByHand", "exit code 3"),
            id="by hand before dockerd was restarted",
        ),
        pytest.param(
            before(),
            restarted(),
            {"engine_absence": Absence(UP - 3060, UP - 3000), "seen_at": SEEN},
            both("ByHand", "exit code 3"),
            id="by hand long after dockerd came back",
        ),
        pytest.param(before(), restarted(), WATCHED, both("ByHand", "exit code 3"), id="restarted by hand"),
        pytest.param(
            before(), exited(exit_code=137), WATCHED, [("Stopped", "ByHand", "exit code 137")], id="killed by hand"
        ),
        pytest.param(before(), restarted(), {"found_stopped": True}, both("ByHand", "exit code 3"), id="found stopped"),
        pytest.param(
            before(),
            Observed(),
            WATCHED,
            [("Stopped", "ByHand", "The container was removed")],
            id="removed by hand",
        ),
        pytest.param(
            before(state="Stopped", restarts=(STOPPED,)), Observed(), WATCHED, [], id="removed when it was down"
        ),
        pytest.param(
            before(),
            restarted(),
            {},
            both("Unknown", "It happened while the controller was not watching"),
            id="the controller was not running",
        ),
        pytest.param(
            RuntimeStatus(),
            restarted(finished_at=""),
            {"request": "create_new_runtime, command c-1"},
            [("Started", "Created", "create_new_runtime, command c-1")],
            id="the first start",
        ),
        pytest.param(RuntimeStatus(), restarted(), {"adopted": True}, [], id="adopted while running"),
        pytest.param(
            before(), restarted(started_at=FIRST, finished_at=BEFORE_LAST), {}, [], id="the controller restarted"
        ),
    ],
)
def test_the_cause_of_a_stop_and_a_start(
    previous: RuntimeStatus, observed: Observed, context: dict[str, Any], records: list[tuple[str, str, str]]
) -> None:
    assert new_records(previous, observed, **context) == records
