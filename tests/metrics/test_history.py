"""48 hours of samples in memory: retention and queries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.metrics.history import HOUR, History, Hour, Sample

MIDNIGHT = 1_732_233_600  # a full hour


def fill(history: History, start: int, end: int, step: int = 5, name: str = "host") -> None:
    for moment in range(start, end, step):
        history.record(name, Sample(moment, moment % 100, moment % 1000))


def test_samples_are_returned_as_recorded() -> None:
    history = History()
    fill(history, MIDNIGHT - 10, MIDNIGHT + 10)
    assert history.query("host", 0, 2 * MIDNIGHT) == [
        (MIDNIGHT - 10, 90, 590),
        (MIDNIGHT - 5, 95, 595),
        (MIDNIGHT, 0, 600),
        (MIDNIGHT + 5, 5, 605),
    ]


def test_both_ends_of_a_period_are_included() -> None:
    history = History()
    fill(history, MIDNIGHT - 20, MIDNIGHT + 20)
    found = history.query("host", MIDNIGHT - 5, MIDNIGHT + 5)
    assert [sample.timestamp for sample in found] == [MIDNIGHT - 5, MIDNIGHT, MIDNIGHT + 5]


def test_an_unknown_series_is_empty() -> None:
    assert History().query("device/none", 0, 2 * MIDNIGHT) == []


def test_four_hours_have_full_resolution_and_48_one_minute() -> None:
    history = History()
    end = MIDNIGHT + 48 * HOUR
    fill(history, MIDNIGHT, end)
    assert len(history.query("host", end - 4 * HOUR, end)) == 4 * 720
    minutes = history.query("host", MIDNIGHT, end)
    assert [sample.timestamp for sample in minutes] == list(range(MIDNIGHT, end, 60))
    one = range(MIDNIGHT, MIDNIGHT + 60, 5)
    assert minutes[0].cpu == pytest.approx(sum(moment % 100 for moment in one) / 12)
    assert minutes[0].memory == pytest.approx(sum(moment % 1000 for moment in one) / 12)


def test_a_gap_yields_no_points() -> None:
    history = History(max_points=100)
    fill(history, MIDNIGHT, MIDNIGHT + 600)
    fill(history, MIDNIGHT + 3000, MIDNIGHT + 3600)
    found = history.query("host", MIDNIGHT, MIDNIGHT + 3600)
    assert len(found) <= 100
    assert not [sample for sample in found if MIDNIGHT + 600 <= sample.timestamp < MIDNIGHT + 3000]


def test_samples_older_than_48_hours_are_dropped_while_recording() -> None:
    history = History()
    fill(history, MIDNIGHT, MIDNIGHT + 60 * HOUR, step=60)
    first = history.query("host", 0, 2 * MIDNIGHT)[0].timestamp
    assert MIDNIGHT + 11 * HOUR <= first <= MIDNIGHT + 12 * HOUR


def test_a_deleted_runtimes_series_expires_after_48_hours_of_operation() -> None:
    elapsed = 0.0
    history = History(clock=lambda: elapsed)
    fill(history, MIDNIGHT, MIDNIGHT + 60, name="device/gone")
    elapsed = 48 * HOUR - 1
    history.expire()
    assert "device/gone" in history.series()
    elapsed += 1
    history.expire()
    assert "device/gone" not in history.series()


def test_samples_stay_in_order_when_the_clock_is_set_back() -> None:
    history = History()
    fill(history, MIDNIGHT + 100, MIDNIGHT + 120)
    fill(history, MIDNIGHT + 103, MIDNIGHT + 113)
    found = [sample.timestamp - MIDNIGHT for sample in history.query("host", 0, 2 * MIDNIGHT)]
    assert found == [100, 103, 105, 108, 110, 115]


def test_a_board_that_boots_in_1970_keeps_its_history_when_the_clock_is_set() -> None:
    history = History()
    history.record("host", Sample(120, 1, 1))
    old = [Hour(MIDNIGHT // HOUR - hours) for hours in range(47)]
    for hour in old:
        hour.add(Sample(hour.number * HOUR, 1, 1))
    history.restore("host", old)
    history.record("host", Sample(130, 1, 1))
    history.record("host", Sample(MIDNIGHT + 3600, 1, 1))
    assert len(history.query("host", MIDNIGHT - 48 * HOUR, MIDNIGHT + 3600)) == 48


@pytest.mark.parametrize("start", [0, MIDNIGHT + 90_000 * HOUR], ids=["1970", "a far future"])
def test_a_wrong_clock_evicts_only_the_oldest_hours(start: int) -> None:
    history = History()
    fill(history, MIDNIGHT, MIDNIGHT + 48 * HOUR, step=600)
    fill(history, start, start + 2 * HOUR, step=600)
    assert len(history.query("host", MIDNIGHT + HOUR, MIDNIGHT + 48 * HOUR)) == 47 * 6
    assert len(history.query("host", start, start + 2 * HOUR)) == 12


def test_samples_of_a_wrong_clock_are_shifted() -> None:
    history = History()
    old = Hour(MIDNIGHT // HOUR)
    old.add(Sample(MIDNIGHT + 7, 3, 4))
    history.restore("host", [old])
    fill(history, 3000, 9000)
    shift = MIDNIGHT + 2 * HOUR + 123
    history.shift("host", 2999, 9000, shift)
    moved = [Sample(moment + shift, moment % 100, moment % 1000) for moment in range(3000, 9000, 5)]
    hours = history.series()["host"].values()
    found = [sample for hour in hours for sample in hour.samples(slice(None))]
    assert found == [(MIDNIGHT + 7, 3, 4), *moved]
    assert [hour.number * HOUR for hour in hours] == [MIDNIGHT + hour * HOUR for hour in (0, 2, 3, 4)]


def test_shifted_samples_are_merged_in_order() -> None:
    history = History()
    fill(history, MIDNIGHT + 100, MIDNIGHT + 120)
    fill(history, 103, 113)
    history.shift("host", 100, 120, MIDNIGHT)
    found = [sample.timestamp - MIDNIGHT for sample in history.query("host", 0, 2 * MIDNIGHT)]
    assert found == [100, 103, 105, 108, 110, 115]


def test_a_clock_in_the_future_does_not_evict_the_present() -> None:
    history = History()
    fill(history, MIDNIGHT + 90_000 * HOUR, MIDNIGHT + 90_060 * HOUR, step=600)
    fill(history, MIDNIGHT, MIDNIGHT + 30 * HOUR, step=600)
    assert len(history.query("host", MIDNIGHT, MIDNIGHT + 30 * HOUR)) == 180
    assert len(history.series()["host"]) <= 50


def test_a_new_series_replaces_the_least_recently_updated_one_once_that_has_ended() -> None:
    now = [0.0]
    history = History(max_series=2, clock=lambda: now[0])
    for name, seconds in (("a", 0), ("b", 5), ("a", 60), ("c", 64)):
        now[0] = seconds
        recorded = history.record(name, Sample(MIDNIGHT, 1, 1))
    assert not recorded
    now[0] = 65
    assert history.record("c", Sample(MIDNIGHT, 1, 1))
    assert set(history.series()) == {"a", "c"}


def test_more_runtimes_than_places_cost_no_series_that_is_recorded() -> None:
    history = History(max_series=3)
    for second in range(3):
        for name in ("host", "a", "b", "c", "d"):
            history.record(name, Sample(MIDNIGHT + second, 1, 1))
    assert {name: len(history.query(name, MIDNIGHT, MIDNIGHT + 9)) for name in "abc"} == {"a": 3, "b": 3, "c": 0}
    assert len(history.query("host", MIDNIGHT, MIDNIGHT + 9)) == 3


@given(st.lists(st.integers(0, 10 * HOUR), max_size=300), st.integers(10, 100))
def test_no_query_returns_more_points_than_the_limit(moments: list[int], bound: int) -> None:
    history = History(max_points=bound)
    for moment in moments:
        history.record("host", Sample(MIDNIGHT + moment, 1.0, 2.0))
    found = history.query("host", MIDNIGHT, MIDNIGHT + 10 * HOUR)
    assert len(found) <= max(bound, 11)
    assert [sample.timestamp for sample in found] == sorted(sample.timestamp for sample in found)
    assert all(sample[1:] == (1.0, 2.0) for sample in found)
