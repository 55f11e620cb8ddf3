"""The backoff: exponential, jittered, endless."""

from __future__ import annotations

import itertools
import logging

import pytest

from controller.machinery.backoff import Backoff, Retry


def bounds(low: float, high: float) -> float:
    """A jitter that takes the longest delay and checks the shortest."""
    assert 0 < low <= high
    return high


def test_delays_double_up_to_the_longest_and_never_end() -> None:
    backoff = Backoff(first=0.5, longest=30, jitter=bounds)
    assert [backoff.next() for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert next(itertools.islice(backoff, 5000, None)) == 30


def test_a_delay_is_at_least_half_of_its_maximum() -> None:
    backoff = Backoff(first=1, longest=5, jitter=lambda low, _: low)
    assert [backoff.next() for _ in range(4)] == [1, 2, 2.5, 2.5]


def test_a_reset_starts_over_with_short_delays() -> None:
    backoff = Backoff(first=0.5, longest=30, jitter=bounds)
    first = backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == first


def test_iterating_starts_over_each_time() -> None:
    backoff = Backoff(first=0.5, longest=30, jitter=bounds)
    assert list(itertools.islice(backoff, 3)) == list(itertools.islice(backoff, 3)) == [1, 2, 4]


def test_a_failure_is_logged_once_until_it_changes_or_ends(caplog: pytest.LogCaptureFixture) -> None:
    retry = Retry("open the door", logging.getLogger("test"), Backoff(1, 4, bounds))
    delays = [retry.failed(failure) for failure in ("locked", "locked", "stuck")]
    retry.succeeded()
    assert [*delays, retry.failed("stuck")] == [2, 4, 4, 2]
    assert caplog.messages == [f"Failed to open the door: {failure}" for failure in ("locked", "stuck", "stuck")]


def test_a_quiet_failure_is_not_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    Retry("open the door", logging.getLogger("test"), Backoff()).failed("locked", quiet=True)
    assert caplog.messages == []
