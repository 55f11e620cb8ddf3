"""Each start after the first is counted once, over crashes, engines, hosts and controllers; each stop and start is told
with its cause."""

from __future__ import annotations

from typing import Any

import pytest

from controller import names
from controller.backends import base
from controller.reconcile import restarts
from controller.reconcile.causes import Absence, Circumstances, Why
from controller.resources import reasons, restart_causes
from controller.resources.conditions import Condition
from controller.resources.runtime_status import RESTARTS_KEPT, RestartIntent, RestartRecord, RuntimeStatus

FIRST = "2026-01-01T10:00:00.5Z"
BEFORE_LAST = "2026-01-01T09:59:00Z"
ENDED = "2026-01-01T10:59:00Z"
SECOND = "2026-01-01T11:00:00.123456789Z"
AT_ELEVEN = 1_767_265_200.0
UP = 7200.0  # seconds from the boot of the host to eleven o'clock


def before(**values: Any) -> RuntimeStatus:
    """It ran, in container c1."""
    known: dict[str, Any] = {"started_at": FIRST, "container_id": "c1", "finished_at": BEFORE_LAST, "state": "running"}
    known |= {"boot_id": "this", "started_seconds": int(UP) - 3600}
    return RuntimeStatus(**({**known, "restart_count": 4} | values))


def found(**values: Any) -> base.Observed:
    """The same container ended, with 3, and started again."""
    known: dict[str, Any] = {
        "state": "running",
        "started_at": SECOND,
        "container_id": "c1",
        "finished_at": ENDED,
        "exit_code": 3,
        "started_seconds": UP,
    }
    return base.Observed(**(known | values))


def down(**values: Any) -> base.Observed:
    """The same container, ended and not started again."""
    return found(**({"state": "exited", "started_at": FIRST, "started_seconds": None} | values))


def told(previous: RuntimeStatus, observed: base.Observed, **around: Any) -> list[tuple[str, str, str]]:
    known: dict[str, Any] = {"boot_id": "this", "elapsed": UP + 1}
    records = restarts.history(previous, observed, Circumstances(**(known | around))).records
    return [(record.event, record.cause, record.detail) for record in records[len(previous.restarts) :]]


def both(cause: str, detail: str) -> list[tuple[str, str, str]]:
    return [("Stopped", cause, detail), ("Started", cause, detail)]


@pytest.mark.parametrize(
    ("previous", "observed", "count"),
    [
        pytest.param(before(), found(started_at=FIRST), 0, id="nothing happened"),
        pytest.param(before(), found(started_at=""), 0, id="not started yet"),
        pytest.param(RuntimeStatus(), found(), 0, id="the first start"),
        pytest.param(RuntimeStatus(), found(restart_count=2), 2, id="crashes before the first look"),
        pytest.param(before(), found(), 1, id="started by hand"),
        pytest.param(before(), found(restart_count=1), 1, id="crashed once"),
        pytest.param(before(engine_restart_count=1), found(restart_count=4), 3, id="crashed while nobody looked"),
        pytest.param(before(engine_restart_count=3), found(restart_count=2), 3, id="by hand, then crashed twice"),
        pytest.param(before(engine_restart_count=3), found(), 1, id="by hand after crashes"),
        pytest.param(before(), found(container_id="c2"), 1, id="replaced"),
        pytest.param(before(), found(container_id="c2", restart_count=2), 3, id="replaced, then crashed twice"),
    ],
)
def test_starts_are_counted_once(previous: RuntimeStatus, observed: base.Observed, count: int) -> None:
    assert restarts.starts(previous, observed) == count
    assert restarts.history(previous, observed, Circumstances()).count == previous.restart_count + count


def missing(condition: str, reason: str, message: str) -> Condition:
    return Condition(type=condition, status="False", reason=reason, message=message, last_transition_time=FIRST)


INTENT = RestartIntent(token="2026-01-01T10:59:59Z", previous_started_at=FIRST)
NO_PARENT = missing(names.NETWORK_ATTACHED, reasons.PARENT_MISSING, "eth7 is missing")
NO_DEVICE = missing(names.DEVICES_ATTACHED, reasons.DEVICE_MISSING, "meter: usb-1 is missing")
DETACHED = missing(names.NETWORK_ATTACHED, reasons.DETACHED, "lan0 has no route")
STOPPED = RestartRecord(time=ENDED, event="Stopped", cause="Crashed", detail="exit code 3")
BACK = {"engine_absence": Absence(UP - 60, UP + 2), "watched": True}
HAND = {"watched": True}


@pytest.mark.parametrize(
    ("previous", "observed", "around", "records"),
    [
        pytest.param(
            before(),
            found(),
            {"own": Why("Requested", "restart_device, command c-1"), "boot_id": "another", "elapsed": 9.0},
            both("Requested", "restart_device, command c-1"),
            id="our own step, whatever else",
        ),
        pytest.param(
            before(restart=INTENT),
            found(),
            {"request": "restart_device, command c-1"},
            both("Requested", "restart_device, command c-1"),
            id="a command, the controller was killed",
        ),
        pytest.param(
            before(restart=INTENT),
            found(),
            {},
            both("Requested", "spec.restartedAt 2026-01-01T10:59:59Z"),
            id="a person's wish, the controller was killed",
        ),
        pytest.param(
            before(),
            down(),
            {"stop_wished": True},
            [("Stopped", "Requested", "spec.desiredState is Stopped")],
            id="a stop, the controller was killed",
        ),
        pytest.param(
            before(),
            found(),
            {"boot_id": "another", "elapsed": 9.0},
            both("HostStarted", "The host was started"),
            id="the host was started",
        ),
        pytest.param(
            before(),
            found(),
            {"elapsed": 9.0},
            both("HostStarted", "The host was started"),
            id="the host has been up for less than the run before",
        ),
        pytest.param(
            before(started_at="1970-01-01T00:00:30Z", finished_at=None),
            found(restart_count=1),
            {},
            both("Crashed", "exit code 3"),
            id="a crash after a start in 1970",
        ),
        pytest.param(
            before(started_at="2080-01-01T00:00:00Z"),
            found(),
            BACK,
            both("DaemonRestarted", "Docker was restarted"),
            id="dockerd, after a start in 2080",
        ),
        pytest.param(
            before(boot_id=None, started_seconds=None),
            found(restart_count=1),
            {},
            both("Crashed", "exit code 3"),
            id="a crash after an upgrade from a version that did not note the boot",
        ),
        pytest.param(
            before(),
            down(started_at=SECOND, exit_code=0),
            BACK,
            [
                ("Started", "DaemonRestarted", "Docker was restarted"),
                ("Stopped", "DaemonRestarted", "Docker was restarted"),
            ],
            id="dockerd, and the program ended at once",
        ),
        pytest.param(
            before(started_seconds=int(UP) - 1),
            found(restart_count=1),
            {"engine_absence": Absence(UP - 60, UP - 50), "watched": True},
            both("Crashed", "exit code 3"),
            id="a crash soon after dockerd came back",
        ),
        pytest.param(
            before(state="restarting", started_at=SECOND, finished_at="2026-01-01T10:00:00Z", restarts=(STOPPED,)),
            down(state="exited", started_at=SECOND, finished_at="2026-01-01T10:00:09Z", error="no such device"),
            {},
            [],
            id="a start that failed after the clock was set back is no other end",
        ),
        pytest.param(before(), found(restart_count=1), {}, both("Crashed", "exit code 3"), id="a crash"),
        pytest.param(
            before(),
            found(restart_count=1, exit_code=None),
            {},
            both("Crashed", "exit code not seen"),
            id="a crash that nobody saw",
        ),
        pytest.param(
            before(),
            down(state="restarting", exit_code=7),
            {},
            [("Stopped", "Crashed", "exit code 7")],
            id="a crash, not started again yet",
        ),
        pytest.param(
            before(finished_at=ENDED, state="restarting", restarts=(STOPPED,)),
            found(restart_count=1),
            {},
            [("Started", "Crashed", "exit code 3")],
            id="started after a crash that is told",
        ),
        pytest.param(
            before(finished_at=ENDED, state="restarting", restarts=(STOPPED,)),
            down(finished_at="2026-01-01T11:00:03Z", error="no such device", started_at=FIRST),
            {},
            [],
            id="a start that the engine failed at is no other end",
        ),
        pytest.param(
            before(),
            found(restart_count=1, oom_killed=True),
            {},
            both("OutOfMemory", "killed for lack of memory: raise spec.resources.memory"),
            id="out of memory",
        ),
        pytest.param(
            before(conditions=(NO_PARENT,)),
            found(restart_count=1),
            {},
            both("ParentGone", "exit code 3 while eth7 is missing"),
            id="a crash without the parent",
        ),
        pytest.param(
            before(conditions=(NO_DEVICE,)),
            found(restart_count=1),
            {},
            both("DeviceGone", "exit code 3 while meter: usb-1 is missing"),
            id="a crash without a serial device",
        ),
        pytest.param(
            before(conditions=(NO_PARENT,)),
            down(error="no such device"),
            {},
            [("Stopped", "ParentGone", "exit code 3 while eth7 is missing")],
            id="a crash without the parent, which the engine could not follow up",
        ),
        pytest.param(
            before(conditions=(DETACHED,)),
            found(restart_count=1),
            {},
            both("Crashed", "exit code 3"),
            id="a crash while the networks were put in order",
        ),
        pytest.param(before(), found(), BACK, both("DaemonRestarted", "Docker was restarted"), id="dockerd"),
        pytest.param(
            before(),
            found(),
            {"engine_absence": Absence(UP - 3000), "watched": True},
            both("DaemonRestarted", "Docker was restarted"),
            id="dockerd, which is not followed again yet",
        ),
        pytest.param(
            before(),
            found(),
            {"engine_absence": Absence(UP + 60, UP + 62), "watched": True},
            both("ByHand", "exit code 3"),
            id="by hand before dockerd was restarted",
        ),
        pytest.param(
            before(),
            found(),
            {"engine_absence": Absence(UP - 3060, UP - 3000), "watched": True},
            both("ByHand", "exit code 3"),
            id="by hand long after dockerd came back",
        ),
        pytest.param(before(), found(), HAND, both("ByHand", "exit code 3"), id="restarted by hand"),
        pytest.param(
            before(), down(exit_code=137), HAND, [("Stopped", "ByHand", "exit code 137")], id="killed by hand"
        ),
        pytest.param(before(), found(), {"found_stopped": True}, both("ByHand", "exit code 3"), id="found stopped"),
        pytest.param(
            before(), base.Observed(), HAND, [("Stopped", "ByHand", "The container was removed")], id="removed by hand"
        ),
        pytest.param(
            before(state="exited", restarts=(STOPPED,)), base.Observed(), HAND, [], id="removed when it was down"
        ),
        pytest.param(
            before(), found(), {}, both("Unknown", "It happened while the controller was away"), id="nobody looked"
        ),
        pytest.param(
            RuntimeStatus(),
            found(finished_at=""),
            {"request": "create_new_runtime, command c-1"},
            [("Started", "Created", "create_new_runtime, command c-1")],
            id="the first start",
        ),
        pytest.param(RuntimeStatus(), found(), {"adopted": True}, [], id="adopted as it runs"),
        pytest.param(before(), found(started_at=FIRST, finished_at=BEFORE_LAST), {}, [], id="the controller restarted"),
    ],
)
def test_the_cause_of_a_stop_and_a_start(
    previous: RuntimeStatus, observed: base.Observed, around: dict[str, Any], records: list[tuple[str, str, str]]
) -> None:
    assert told(previous, observed, **around) == records


def test_the_times_are_those_of_the_engine_and_in_order() -> None:
    history = restarts.history(before(), found(restart_count=1), Circumstances())
    assert [record.time for record in history.records] == [ENDED, SECOND]
    again = restarts.history(before(), found(started_at="2026-01-01T10:30:00Z", state="exited"), Circumstances())
    assert [record.event for record in again.records] == ["Started", "Stopped"]


@pytest.mark.parametrize("ended", ["1970-01-01T00:00:00Z", "2080-01-01T00:00:00Z"])
def test_the_order_is_that_of_what_happened_wherever_the_clock_was_set(ended: str) -> None:
    up = restarts.history(before(), found(restart_count=1, finished_at=ended), Circumstances())
    assert [record.event for record in up.records] == ["Stopped", "Started"]
    over = restarts.history(before(), found(state="exited", finished_at=ended), Circumstances())
    assert [record.event for record in over.records] == ["Started", "Stopped"]


def test_the_end_of_a_container_that_is_gone_has_the_time_of_our_step() -> None:
    own = Why(restart_causes.SPEC_CHANGED, "spec.version")
    around = Circumstances(own=own, acted_at=AT_ELEVEN - 1, now=AT_ELEVEN + 1)
    history = restarts.history(before(), found(container_id="c2", finished_at=""), around)
    assert [record.time for record in history.records] == ["2026-01-01T10:59:59.000000Z", SECOND]


def test_several_starts_at_once_are_one_record_that_says_how_many() -> None:
    records = told(before(), found(restart_count=3))
    assert records[-1] == ("Started", "Crashed", "exit code 3; the last of 3 starts")


def test_the_last_restart_is_the_newest_start_after_the_first() -> None:
    first = restarts.history(RuntimeStatus(), found(), Circumstances())
    assert (len(first.records), first.last_restart) == (1, None)
    crashed = restarts.history(before(), found(restart_count=1), Circumstances())
    assert crashed.last_restart == crashed.records[-1]
    ended = restarts.history(before(last_restart=crashed.last_restart), down(), Circumstances())
    assert ended.last_restart == crashed.last_restart


def test_the_history_is_bounded_and_the_count_is_not() -> None:
    old = tuple(RestartRecord(time=FIRST, cause="Crashed", detail=str(n)) for n in range(RESTARTS_KEPT))
    history = restarts.history(before(restarts=old, restart_count=99), found(), Circumstances())
    assert (history.count, len(history.records)) == (100, RESTARTS_KEPT)
    assert history.records[0].detail == "2"
    assert history.records[-1].time == SECOND
