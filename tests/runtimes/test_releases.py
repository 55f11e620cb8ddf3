"""A Runtime that waits for something another one has is woken when that may be free, and never without end."""

from __future__ import annotations

import pytest

from controller.api import reasons
from controller.runtimes.keys import Key
from controller.runtimes.outcome import Outcome, of_reason
from controller.runtimes.releases import Releases
from controller.runtimes.result import GONE, Result

HOLDER, WAITING, OTHER = Key("edge", "holder"), Key("edge", "waiting"), Key("edge", "other")
READY = Result(Outcome("ready", reasons.RUNNING, "It runs"))
FAILED = Result(of_reason(reasons.STEP_FAILED, "retrying"))


def refused(reason: str = reasons.DEDICATED_REFUSED) -> Result:
    """The result of a pass that ends with this reason."""
    return Result(of_reason(reason, "eth1 is a parent interface of holder"))


@pytest.fixture
def releases() -> Releases:
    """Releases that know of one Runtime that waits."""
    made = Releases()
    assert made.after(HOLDER, READY).wake == ()
    assert made.after(WAITING, refused()).wake == ()
    return made


@pytest.mark.parametrize(
    "reason",
    [
        reasons.ADDRESS_CONFLICT,
        reasons.DEDICATED_REFUSED,
        reasons.DEVICE_IN_USE,
        reasons.NAME_TAKEN,
        reasons.POOL_EXHAUSTED,
        reasons.POOL_OVERLAP,
    ],
)
def test_a_deletion_wakes_whatever_another_runtime_may_hold_up(reason: str) -> None:
    releases = Releases()
    releases.after(WAITING, refused(reason))
    releases.after(OTHER, refused(reasons.IMAGE_NOT_FOUND))

    assert releases.after(HOLDER, GONE).wake == (WAITING,)


def test_one_that_waits_no_longer_is_not_woken(releases: Releases) -> None:
    releases.after(WAITING, READY)
    assert releases.after(HOLDER, GONE).wake == ()


def test_a_pass_over_an_unchanged_spec_releases_nothing(releases: Releases) -> None:
    assert releases.after(HOLDER, READY).wake == ()


def test_a_changed_spec_releases_at_once_and_when_its_change_is_done(releases: Releases) -> None:
    releases.note_change(HOLDER)
    assert [releases.after(HOLDER, result).wake for result in (FAILED, FAILED, READY, READY)] == [
        (WAITING,),
        (),
        (WAITING,),
        (),
    ]


def test_two_that_wait_for_each_other_wake_each_other_once(releases: Releases) -> None:
    releases.after(HOLDER, refused())
    for key in (HOLDER, WAITING):
        releases.note_change(key)
    passes = [HOLDER, WAITING]
    for count in range(10):
        if count == len(passes):
            break
        passes += releases.after(passes[count], refused()).wake

    assert passes == [HOLDER, WAITING, WAITING, HOLDER]


def test_a_successor_is_woken_with_the_others(releases: Releases) -> None:
    handed_over = GONE._replace(wake=(OTHER,))
    assert releases.after(HOLDER, handed_over).wake == (OTHER, WAITING)
