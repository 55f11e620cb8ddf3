"""Limits on concurrent requests and on their time: which are rejected, which never are, and with what response."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from controller.apiserver import failures
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.identities import Identity
from controller.apiserver.http.limits import LISTS, LONGEST_SECONDS, Limits, allotted, time

ADMIN, CONTROLLER, VIEWER = Identity("admin"), Identity("controller"), Identity("viewer")
LIST = Attributes("list", "/api/v1/nodes", "", "v1", "nodes")
WATCH = LIST._replace(verb="watch")
HEALTH = Attributes("get", "/readyz")


async def refused(limits: Limits, user: Identity, attrs: Attributes) -> int:
    """The status code of the rejection; 0 if accepted."""
    try:
        async with limits.place(user, attrs):
            return 0
    except failures.Failure as failure:
        return failure.code


async def test_a_request_over_the_limit_gets_429() -> None:
    limits = Limits(in_flight=1)
    async with limits.place(ADMIN, LIST):
        assert await refused(limits, ADMIN, LIST) == 429
    assert await refused(limits, ADMIN, LIST) == 0


async def test_watches_health_checks_and_the_controller_have_their_own_limits() -> None:
    limits = Limits(in_flight=1, watches=1)
    async with limits.place(ADMIN, LIST), limits.place(ADMIN, WATCH):
        assert await refused(limits, ADMIN, WATCH) == 429
        ping = Attributes("get", "/livez/ping")
        for user, attrs in ((ADMIN, HEALTH), (ADMIN, ping), (CONTROLLER, LIST), (CONTROLLER, WATCH)):
            assert await refused(limits, user, attrs) == 0


async def test_one_user_cannot_use_up_all_places() -> None:
    limits = Limits(in_flight=4, watches=4)
    for attrs in (LIST, WATCH):
        async with contextlib.AsyncExitStack() as held:
            for _ in range(3):
                await held.enter_async_context(limits.place(VIEWER, attrs))
            assert await refused(limits, VIEWER, attrs) == 429
            assert await refused(limits, ADMIN._replace(name="x", impersonator="viewer"), attrs) == 429
            assert await refused(limits, ADMIN, attrs) == 0
        assert await refused(limits, VIEWER, attrs) == 0


async def test_a_user_waits_beyond_some_concurrent_lists() -> None:
    limits = Limits()
    async with contextlib.AsyncExitStack() as held:
        for _ in range(LISTS):
            await held.enter_async_context(limits.place(VIEWER, LIST))
        waiting = asyncio.create_task(refused(limits, VIEWER, LIST))
        assert await refused(limits, ADMIN, LIST) == 0
        assert await refused(limits, VIEWER, LIST._replace(verb="get")) == 0
        assert not waiting.done()
    assert await waiting == 0


async def test_other_tasks_run_between_two_turns() -> None:
    turn, done = Limits().turn(VIEWER), list[str]()

    async def take() -> None:
        async with turn:
            done.append("turn")

    async def other() -> None:
        while done.count("turn") < 3:
            done.append("other")
            await asyncio.sleep(0)

    await asyncio.gather(take(), take(), take(), other())
    assert "turn turn" not in " ".join(done)


async def test_a_stopping_server_serves_only_health_checks() -> None:
    limits = Limits()
    limits.stopping = True
    assert await refused(limits, ADMIN, LIST) == 503
    assert await refused(limits, ADMIN, HEALTH) == 0


async def test_a_429_says_when_to_retry() -> None:
    limits = Limits(in_flight=0)
    with pytest.raises(failures.Failure) as refusal:
        async with limits.place(ADMIN, LIST):
            pass
    assert refusal.value.retry_after == 1
    assert refusal.value.status()["details"] == {"retryAfterSeconds": 1}


async def test_a_request_over_its_timeout_gets_504() -> None:
    with pytest.raises(failures.Failure) as refusal:
        async with time(LIST, "10ms"):
            await asyncio.Event().wait()
    assert (refusal.value.code, refusal.value.reason) == (504, "Timeout")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", LONGEST_SECONDS), ("5s", 5), ("1m", 60), ("1.5s", 1.5), ("500ms", 0.5), ("1m30s", LONGEST_SECONDS),
        ("2h", LONGEST_SECONDS), ("0", LONGEST_SECONDS), ("-1s", LONGEST_SECONDS), ("100us", 0.0001),
    ],
)  # fmt: skip
def test_the_timeout_of_a_request_is_bounded(text: str, seconds: float) -> None:
    assert allotted(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["abc", "5", "s", "1 s", "--1s", "1x", "1s2"])
def test_a_malformed_timeout_is_rejected(text: str) -> None:
    with pytest.raises(failures.Failure, match="invalid timeout specified in the request URL"):
        allotted(text)
