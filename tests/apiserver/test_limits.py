"""How much at once and how long: who is refused, who never is, and what a client is told."""

from __future__ import annotations

import asyncio

import pytest

from controller.apiserver import failures
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.authorization import Identity
from controller.apiserver.http.limits import LONGEST_SECONDS, Limits, allotted

ADMIN, CONTROLLER = Identity("admin"), Identity("controller")
LIST = Attributes("list", "/api/v1/nodes", "", "v1", "nodes")
WATCH = LIST._replace(verb="watch")
HEALTH = Attributes("get", "/readyz")


async def refused(limits: Limits, who: Identity, wanted: Attributes) -> int:
    """The code of a refusal, 0 for none."""
    try:
        async with limits.hold(who, wanted, ""):
            return 0
    except failures.Failure as failure:
        return failure.code


async def test_who_comes_when_there_is_no_room_is_asked_to_come_again() -> None:
    limits = Limits(in_flight=1)
    async with limits.hold(ADMIN, LIST, ""):
        assert await refused(limits, ADMIN, LIST) == 429
    assert await refused(limits, ADMIN, LIST) == 0


async def test_watches_health_and_the_controller_have_room_of_their_own() -> None:
    limits = Limits(in_flight=1, watches=1)
    async with limits.hold(ADMIN, LIST, ""), limits.hold(ADMIN, WATCH, ""):
        assert await refused(limits, ADMIN, WATCH) == 429
        for who, wanted in ((ADMIN, HEALTH), (CONTROLLER, LIST), (CONTROLLER, WATCH)):
            assert await refused(limits, who, wanted) == 0


async def test_a_server_that_stops_answers_only_for_its_health() -> None:
    limits = Limits()
    limits.stopping = True
    assert await refused(limits, ADMIN, LIST) == 503
    assert await refused(limits, ADMIN, HEALTH) == 0


async def test_a_refusal_tells_when_to_come_again() -> None:
    limits = Limits(in_flight=0)
    with pytest.raises(failures.Failure) as refusal:
        async with limits.hold(ADMIN, LIST, ""):
            pass
    assert refusal.value.retry_after == 1
    assert refusal.value.status()["details"] == {"retryAfterSeconds": 1}


async def test_who_has_no_time_gets_504() -> None:
    with pytest.raises(failures.Failure) as refusal:
        async with Limits().hold(ADMIN, LIST, "10ms"):
            await asyncio.Event().wait()
    assert (refusal.value.code, refusal.value.reason) == (504, "Timeout")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", LONGEST_SECONDS), ("5s", 5), ("1m", 60), ("1.5s", 1.5), ("500ms", 0.5), ("1m30s", LONGEST_SECONDS),
        ("2h", LONGEST_SECONDS), ("0", LONGEST_SECONDS), ("-1s", LONGEST_SECONDS), ("100us", 0.0001),
    ],
)  # fmt: skip
def test_the_time_that_a_request_gets(text: str, seconds: float) -> None:
    assert allotted(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["abc", "5", "s", "1 s", "--1s", "1x", "1s2"])
def test_a_time_that_is_none(text: str) -> None:
    with pytest.raises(failures.Failure, match="invalid timeout specified in the request URL"):
        allotted(text)
