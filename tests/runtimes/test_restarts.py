"""Each start after the first is counted once and recorded in order with the engine's times."""

from __future__ import annotations

import pytest

from controller.api import restart_causes
from controller.api.runtime_status import RESTARTS_KEPT, RestartRecord, RuntimeStatus
from controller.backends.observation import Observed
from controller.runtimes import restarts
from controller.runtimes.restart_context import Attribution, RestartContext
from tests.runtimes.starts import AT_ELEVEN, ENDED, FIRST, SECOND, before, exited, new_records, restarted


@pytest.mark.parametrize(
    ("previous", "observed", "count"),
    [
        pytest.param(before(), restarted(started_at=FIRST), 0, id="nothing happened"),
        pytest.param(before(), restarted(started_at=""), 0, id="not started yet"),
        pytest.param(RuntimeStatus(), restarted(), 0, id="the first start"),
        pytest.param(RuntimeStatus(), restarted(restart_count=2), 2, id="crashes before the first observation"),
        pytest.param(before(), restarted(), 1, id="started by hand"),
        pytest.param(before(), restarted(restart_count=1), 1, id="crashed once"),
        pytest.param(
            before(engine_restart_count=1), restarted(restart_count=4), 3, id="crashed between two observations"
        ),
        pytest.param(before(engine_restart_count=3), restarted(restart_count=2), 3, id="by hand, then crashed twice"),
        pytest.param(before(engine_restart_count=3), restarted(), 1, id="by hand after crashes"),
        pytest.param(before(), restarted(container_id="c2"), 1, id="replaced"),
        pytest.param(before(), restarted(container_id="c2", restart_count=2), 3, id="replaced, then crashed twice"),
    ],
)
def test_each_start_is_counted_once(previous: RuntimeStatus, observed: Observed, count: int) -> None:
    assert restarts.starts(previous, observed) == count
    assert restarts.history(previous, observed, RestartContext()).count == previous.restart_count + count


def test_records_have_the_engines_times_in_order() -> None:
    history = restarts.history(before(), restarted(restart_count=1), RestartContext())
    assert [record.time for record in history.records] == [ENDED, SECOND]
    again = restarts.history(before(), restarted(started_at="2026-01-01T10:30:00Z", state="exited"), RestartContext())
    assert [record.event for record in again.records] == ["Started", "Stopped"]


@pytest.mark.parametrize("ended", ["1970-01-01T00:00:00Z", "2080-01-01T00:00:00Z"])
def test_records_are_in_order_despite_clock_changes(ended: str) -> None:
    up = restarts.history(before(), restarted(restart_count=1, finished_at=ended), RestartContext())
    assert [record.event for record in up.records] == ["Stopped", "Started"]
    over = restarts.history(before(), restarted(state="exited", finished_at=ended), RestartContext())
    assert [record.event for record in over.records] == ["Started", "Stopped"]


def test_the_stop_of_a_removed_container_has_the_time_of_our_step() -> None:
    own = Attribution(restart_causes.SPEC_CHANGED, "spec.version")
    context = RestartContext(own=own, acted_at=AT_ELEVEN - 1, now=AT_ELEVEN + 1)
    history = restarts.history(before(), restarted(container_id="c2", finished_at=""), context)
    assert [record.time for record in history.records] == ["2026-01-01T10:59:59.000000Z", SECOND]


def test_several_unobserved_starts_become_one_record() -> None:
    records = new_records(before(), restarted(restart_count=3))
    assert records[-1] == ("Started", "Crashed", "exit code 3; the last of 3 starts")


def test_the_exit_of_an_unobserved_run_has_a_cause_of_its_own() -> None:
    crashed = RestartRecord(time=ENDED, event="Stopped", cause="Crashed", detail="exit code 3")
    restarting = before(state="Restarting", finished_at=ENDED, restarts=(crashed,), engine_restart_count=0)
    killed = exited(started_at=SECOND, finished_at="2026-01-01T11:00:01Z", exit_code=137, restart_count=1)
    assert new_records(restarting, killed, seen_at=1.0) == [
        ("Started", "Crashed", "exit code 3"),
        ("Stopped", "ByHand", "exit code 137"),
    ]


def test_the_last_restart_is_the_newest_start_after_the_first() -> None:
    first = restarts.history(RuntimeStatus(), restarted(), RestartContext())
    assert (len(first.records), first.last_restart) == (1, None)
    crashed = restarts.history(before(), restarted(restart_count=1), RestartContext())
    assert crashed.last_restart == crashed.records[-1]
    ended = restarts.history(before(last_restart=crashed.last_restart), exited(), RestartContext())
    assert ended.last_restart == crashed.last_restart


def test_the_history_is_bounded_but_the_count_is_not() -> None:
    old = tuple(RestartRecord(time=FIRST, cause="Crashed", detail=str(n)) for n in range(RESTARTS_KEPT))
    history = restarts.history(before(restarts=old, restart_count=99), restarted(), RestartContext())
    assert (history.count, len(history.records)) == (100, RESTARTS_KEPT)
    assert history.records[0].detail == "2"
    assert history.records[-1].time == SECOND
