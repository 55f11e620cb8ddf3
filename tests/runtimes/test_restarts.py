"""Each start after the first is counted once, and told in order with the times of the engine."""

from __future__ import annotations

import pytest

from controller.api import restart_causes
from controller.api.runtime_status import RESTARTS_KEPT, RestartRecord, RuntimeStatus
from controller.backends import base
from controller.runtimes import restarts
from controller.runtimes.restart_context import Attribution, RestartContext
from tests.runtimes.starts import AT_ELEVEN, ENDED, FIRST, SECOND, before, down, found, reported


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
    assert restarts.history(previous, observed, RestartContext()).count == previous.restart_count + count


def test_the_times_are_those_of_the_engine_and_in_order() -> None:
    history = restarts.history(before(), found(restart_count=1), RestartContext())
    assert [record.time for record in history.records] == [ENDED, SECOND]
    again = restarts.history(before(), found(started_at="2026-01-01T10:30:00Z", state="exited"), RestartContext())
    assert [record.event for record in again.records] == ["Started", "Stopped"]


@pytest.mark.parametrize("ended", ["1970-01-01T00:00:00Z", "2080-01-01T00:00:00Z"])
def test_the_order_is_that_of_what_happened_wherever_the_clock_was_set(ended: str) -> None:
    up = restarts.history(before(), found(restart_count=1, finished_at=ended), RestartContext())
    assert [record.event for record in up.records] == ["Stopped", "Started"]
    over = restarts.history(before(), found(state="exited", finished_at=ended), RestartContext())
    assert [record.event for record in over.records] == ["Started", "Stopped"]


def test_the_end_of_a_container_that_is_gone_has_the_time_of_our_step() -> None:
    own = Attribution(restart_causes.SPEC_CHANGED, "spec.version")
    context = RestartContext(own=own, acted_at=AT_ELEVEN - 1, now=AT_ELEVEN + 1)
    history = restarts.history(before(), found(container_id="c2", finished_at=""), context)
    assert [record.time for record in history.records] == ["2026-01-01T10:59:59.000000Z", SECOND]


def test_several_starts_at_once_are_one_record_that_says_how_many() -> None:
    records = reported(before(), found(restart_count=3))
    assert records[-1] == ("Started", "Crashed", "exit code 3; the last of 3 starts")


def test_the_last_restart_is_the_newest_start_after_the_first() -> None:
    first = restarts.history(RuntimeStatus(), found(), RestartContext())
    assert (len(first.records), first.last_restart) == (1, None)
    crashed = restarts.history(before(), found(restart_count=1), RestartContext())
    assert crashed.last_restart == crashed.records[-1]
    ended = restarts.history(before(last_restart=crashed.last_restart), down(), RestartContext())
    assert ended.last_restart == crashed.last_restart


def test_the_history_is_bounded_and_the_count_is_not() -> None:
    old = tuple(RestartRecord(time=FIRST, cause="Crashed", detail=str(n)) for n in range(RESTARTS_KEPT))
    history = restarts.history(before(restarts=old, restart_count=99), found(), RestartContext())
    assert (history.count, len(history.records)) == (100, RESTARTS_KEPT)
    assert history.records[0].detail == "2"
    assert history.records[-1].time == SECOND
