"""Each start after the first is counted once, over crashes, engines, hosts and controllers, with its cause."""

from __future__ import annotations

from typing import Any

import pytest

from controller.backends import base
from controller.reconcile import restarts
from controller.resources.runtime_status import RESTARTS_KEPT, RestartIntent, RestartRecord, RuntimeStatus

FIRST = "2026-01-01T10:00:00.5Z"
SECOND = "2026-01-01T11:00:00.123456789Z"
ENDED = "2026-01-01T10:59:00Z"
AT_ELEVEN = 1_767_265_200.0


def before(**values: Any) -> RuntimeStatus:
    """Started once, in container c1."""
    known = {"started_at": FIRST, "container_id": "c1", "finished_at": ENDED, "exit_code": 3, "restart_count": 4}
    return RuntimeStatus(**(known | values))


def found(**values: Any) -> base.Observed:
    """The same container, started again."""
    known = {"state": "running", "started_at": SECOND, "container_id": "c1", "finished_at": ENDED}
    return base.Observed(**(known | values))


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
    total, _ = restarts.history(previous, observed, restarts.Circumstances())
    assert total == previous.restart_count + count


INTENT = RestartIntent(token="2026-01-01T10:59:59Z", previous_started_at=FIRST)


@pytest.mark.parametrize(
    ("previous", "observed", "around", "cause"),
    [
        pytest.param(before(), found(), {"own": restarts.REPLACED}, "Replaced", id="our own step"),
        pytest.param(before(restart=INTENT), found(), {}, "Requested", id="asked for, the controller was killed"),
        pytest.param(before(), found(), {"boot_time": AT_ELEVEN - 9}, "HostStarted", id="the host was started"),
        pytest.param(before(), found(restart_count=1), {}, "Crashed", id="a crash"),
        pytest.param(before(out_of_memory=True), found(restart_count=1), {}, "OutOfMemory", id="out of memory"),
        pytest.param(
            before(), found(), {"engine_returned_at": AT_ELEVEN + 2, "watched": True}, "DaemonRestarted", id="dockerd"
        ),
        pytest.param(
            before(),
            found(),
            {"engine_returned_at": AT_ELEVEN - 3000, "watched": True},
            "Started",
            id="by hand long after dockerd came back",
        ),
        pytest.param(before(), found(), {"watched": True}, "Started", id="by hand"),
        pytest.param(before(), found(), {}, "Unknown", id="nobody looked"),
    ],
)
def test_the_cause_of_a_start(
    previous: RuntimeStatus, observed: base.Observed, around: dict[str, Any], cause: str
) -> None:
    _, records = restarts.history(previous, observed, restarts.Circumstances(**around))
    assert [(record.cause, record.time) for record in records] == [(cause, SECOND)]


@pytest.mark.parametrize(
    ("finished_at", "detail"), [(ENDED, "exit code 3"), ("2026-01-01T10:59:59Z", "exit code not seen")]
)
def test_an_exit_code_is_told_only_when_it_is_that_of_this_end(finished_at: str, detail: str) -> None:
    observed = found(restart_count=1, finished_at=finished_at)
    _, records = restarts.history(before(), observed, restarts.Circumstances())
    assert records[-1].detail == detail


def test_several_starts_at_once_are_one_record_that_says_how_many() -> None:
    _, records = restarts.history(before(), found(restart_count=3), restarts.Circumstances())
    assert records[-1].detail == "exit code 3; the last of 3 starts"


def test_the_history_is_bounded_and_the_count_is_not() -> None:
    old = tuple(RestartRecord(time=FIRST, cause="Crashed", detail=str(n)) for n in range(RESTARTS_KEPT))
    total, records = restarts.history(before(restarts=old, restart_count=99), found(), restarts.Circumstances())
    assert (total, len(records)) == (100, RESTARTS_KEPT)
    assert records[0].detail == "1"
    assert records[-1].time == SECOND
