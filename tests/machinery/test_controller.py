"""The controller runs at the start, when triggered and periodically, and retries failures with a backoff."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from controller import errors
from controller.machinery.backoff import Backoff
from controller.machinery.controller import Controller, poll
from tests.support import virtual_time

Outcome = float | Exception | None


class Runs:
    """A reconcile function that records the times of its runs and returns or raises the scripted outcomes."""

    def __init__(self, *outcomes: Outcome, seconds: float = 0.0) -> None:
        self.outcomes = list(outcomes)
        self.seconds = seconds
        self.at: list[float] = []
        self.during: Callable[[], None] = lambda: None

    async def reconcile(self) -> float | None:
        self.at.append(asyncio.get_running_loop().time())
        self.during()
        await asyncio.sleep(self.seconds)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def run(controller: Controller, seconds: float, *triggers: float) -> None:
    """Run the controller for some virtual seconds and trigger it at these times."""

    async def main() -> None:
        for at in triggers:
            asyncio.get_running_loop().call_at(at, controller.trigger)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(controller.run(), seconds)

    virtual_time.run(main())


def exact(first: float, longest: float = 30.0) -> Backoff:
    """A backoff without jitter."""
    return Backoff(first, longest, lambda _, high: high)


def test_it_runs_at_the_start_and_then_periodically() -> None:
    runs = Runs()
    run(Controller("count", runs.reconcile, period=10), 35)
    assert runs.at == pytest.approx([0, 10, 20, 30])


def test_without_a_period_only_a_trigger_causes_a_run() -> None:
    runs = Runs()
    run(Controller("count", runs.reconcile), 10_000, 7)
    assert runs.at == pytest.approx([0, 7])


def test_triggers_before_a_run_cause_one_run() -> None:
    runs = Runs()
    run(Controller("count", runs.reconcile), 100, 7, 7, 7)
    assert runs.at == pytest.approx([0, 7])


def test_a_trigger_before_the_start_is_part_of_the_first_run() -> None:
    runs = Runs()
    controller = Controller("count", runs.reconcile)
    controller.trigger()
    run(controller, 100)
    assert runs.at == [0]


def test_a_trigger_during_a_run_causes_another_one() -> None:
    runs = Runs(seconds=5)
    run(Controller("count", runs.reconcile), 100, 2, 3)
    assert runs.at == pytest.approx([0, 5])


def test_a_run_that_triggers_itself_runs_again_at_once() -> None:
    runs = Runs()
    controller = Controller("count", runs.reconcile, period=10)
    runs.during = lambda: controller.trigger() if len(runs.at) < 3 else None
    run(controller, 5)
    assert runs.at == pytest.approx([0, 0, 0])


def test_a_run_may_ask_for_the_next_one_earlier_but_not_later_than_the_period() -> None:
    runs = Runs(2.0, 0.5, 1000.0)
    run(Controller("count", runs.reconcile, period=10), 15)
    assert runs.at == pytest.approx([0, 2, 2.5, 12.5])


def test_a_pause_limits_how_often_triggers_cause_runs() -> None:
    runs = Runs()
    run(Controller("count", runs.reconcile, period=10, pause=2), 9, 0.5, 1, 2.5, 3)
    assert runs.at == pytest.approx([0, 2, 4])


def test_failures_are_retried_with_the_backoff_within_the_period() -> None:
    runs = Runs(*[errors.ApiUnavailableError("no answer")] * 4)
    run(Controller("count", runs.reconcile, period=10, backoff=exact(1)), 37)
    assert runs.at == pytest.approx([0, 2, 6, 14, 24, 34])


def test_a_success_resets_the_backoff() -> None:
    failure = errors.ApiUnavailableError("no answer")
    runs = Runs(failure, failure, None, failure)
    run(Controller("count", runs.reconcile, period=10, backoff=exact(1)), 20)
    assert runs.at == pytest.approx([0, 2, 6, 16, 18])


def test_a_trigger_cuts_the_backoff_short() -> None:
    runs = Runs(errors.ApiUnavailableError("no answer"))
    run(Controller("count", runs.reconcile, backoff=exact(10)), 100, 3)
    assert runs.at == pytest.approx([0, 3])


def test_each_failure_is_logged_once_until_it_changes_or_ends(caplog: pytest.LogCaptureFixture) -> None:
    full, away = errors.DiskFullError("full"), errors.ApiUnavailableError("no answer")
    run(Controller("count", Runs(full, full, away, None, away).reconcile, period=1), 10)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "Failed to count: full",
        "Failed to count: no answer",
        "Failed to count: no answer",
    ]


def test_a_bug_is_logged_once_with_its_traceback_and_retried(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs(KeyError("deviceId"), KeyError("deviceId"), TimeoutError())
    run(Controller("count", runs.reconcile, backoff=exact(1)), 100)
    assert runs.at == pytest.approx([0, 2, 6, 14])
    reported = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.exc_info[0] for record in reported if record.exc_info] == [KeyError, TimeoutError]
    assert [record.getMessage() for record in reported] == ["Failed to count"] * 2


def test_errors_of_the_owner_are_expected_when_named(caplog: pytest.LogCaptureFixture) -> None:
    run(Controller("read the disk", Runs(OSError("I/O error")).reconcile, expected=(OSError,)), 100)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "Failed to read the disk: I/O error")
    ]


def test_a_run_beyond_the_timeout_fails(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs(seconds=60)
    run(Controller("count", runs.reconcile, timeout=20, backoff=exact(1)), 25)
    assert runs.at == pytest.approx([0, 22])
    assert "Failed to count: no answer within 20 s" in caplog.messages


def test_a_heartbeat_follows_each_run_also_a_failed_one() -> None:
    beats: list[None] = []
    runs = Runs(errors.ApiUnavailableError("no answer"), RuntimeError("a fault"))
    run(Controller("count", runs.reconcile, period=1, beat=lambda: beats.append(None)), 2.5)
    assert len(beats) == len(runs.at) == 3


def poll_for(seconds: float, *results: bool) -> tuple[bool, int]:
    """The last of these results, and the virtual seconds that it took to settle."""
    left = list(results)

    async def read() -> bool:
        return left.pop(0) if left else False

    async def main() -> tuple[bool, int]:
        return await poll(read, bool, seconds, exact(1)), round(asyncio.get_running_loop().time())

    found: tuple[bool, int] = virtual_time.run(main())
    return found


def test_a_poll_ends_when_the_result_has_settled() -> None:
    assert poll_for(100, False, False, True) == (True, 2 + 4)


def test_a_poll_ends_with_the_last_result_when_the_time_is_up() -> None:
    assert poll_for(5) == (False, 2 + 4)
