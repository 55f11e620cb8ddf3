"""Credentials are renewed in time, once for all who wait, and not again right after a renewal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from controller import errors
from controller.machinery import credentials as module
from controller.machinery.credentials import RENEW_SECONDS, Credentials
from controller.machinery.endpoint import Endpoint


class Issuer:
    """Issues endpoints with numbered tokens; the clock is its ``now``, and each token ends after ``lifetime``."""

    def __init__(self, lifetime: float | None = 3600.0) -> None:
        self.now = 1_000_000.0
        self.lifetime = lifetime
        self.issued = 0
        self.faults: list[Exception] = []
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    def clock(self) -> float:
        return self.now

    async def renew(self) -> Endpoint:
        self.asked.set()
        await self.gate.wait()
        if self.faults:
            raise self.faults.pop()
        return self.issue()

    def issue(self) -> Endpoint:
        self.issued += 1
        expires_at = None if self.lifetime is None else self.now + self.lifetime
        return Endpoint("https://api.test", token=f"t{self.issued}", expires_at=expires_at, renew=self.renew)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """No pauses between renewals, unless the test sets one."""

    def pause(seconds: float) -> None:
        monkeypatch.setattr(module, "PAUSES", (seconds, seconds))

    pause(0.0)
    return pause


@pytest.fixture
async def issuer() -> Issuer:
    return Issuer()


async def test_valid_credentials_are_kept(issuer: Issuer) -> None:
    credentials = Credentials(issuer.issue(), issuer.clock)
    issuer.now += 3600 - RENEW_SECONDS - 1
    assert (await credentials.current()).token == "t1"
    assert issuer.issued == 1


async def test_those_that_expire_soon_are_renewed_while_they_still_serve(issuer: Issuer) -> None:
    credentials = Credentials(issuer.issue(), issuer.clock)
    issuer.now += 3600 - RENEW_SECONDS + 1
    issuer.gate.clear()
    assert (await credentials.current()).token == "t1"
    (renewal,) = [task for task in asyncio.all_tasks() if task.get_name() == "credentials"]
    issuer.gate.set()
    await renewal
    assert (await credentials.current()).token == "t2"


async def test_expired_ones_are_renewed_once_for_all_who_wait(issuer: Issuer) -> None:
    credentials = Credentials(issuer.issue(), issuer.clock)
    issuer.now += 3601
    found = await asyncio.gather(*(credentials.current() for _ in range(5)))
    assert {each.token for each in found} == {"t2"}
    assert issuer.issued == 2


async def test_rejected_ones_are_renewed_although_they_never_expire() -> None:
    issuer = Issuer(lifetime=None)
    credentials = Credentials(issuer.issue(), issuer.clock)
    rejected = await credentials.current()
    assert (await credentials.current(rejected)).token == "t2"
    assert (await credentials.current(rejected)).token == "t2", "rejected before, and replaced since"


async def test_after_a_renewal_there_is_a_pause(issuer: Issuer, without_pauses: Callable[[float], None]) -> None:
    without_pauses(3600.0)
    credentials = Credentials(issuer.issue(), issuer.clock)
    second = await credentials.current(credentials.endpoint)
    assert (await credentials.current(second)) is second
    assert issuer.issued == 2


async def test_a_failed_renewal_is_logged_and_tried_again(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    credentials = Credentials(issuer.issue(), issuer.clock)
    issuer.faults = [errors.SettingError("the credential plugin aws failed")]
    issuer.now += 3601
    assert (await credentials.current()).token == "t1"
    assert "Cannot renew the credentials of the Kubernetes API: the credential plugin aws failed" in caplog.text
    assert (await credentials.current()).token == "t2"


async def test_a_caller_that_gives_up_does_not_end_the_renewal(issuer: Issuer) -> None:
    credentials = Credentials(issuer.issue(), issuer.clock)
    issuer.now += 3601
    issuer.gate.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(credentials.current(), 0.01)
    issuer.gate.set()
    assert (await credentials.current()).token == "t2"
    assert issuer.issued == 2


async def test_closing_ends_a_renewal(issuer: Issuer) -> None:
    credentials = Credentials(issuer.issue(), issuer.clock)
    issuer.now += 3600 - 1
    issuer.gate.clear()
    await credentials.current()
    await credentials.close()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "credentials"] == []


async def test_closing_cancels_nobody_who_waits_and_starts_no_other_renewal(issuer: Issuer) -> None:
    credentials = Credentials(issuer.issue(), issuer.clock)
    issuer.now += 3601
    issuer.gate.clear()
    waiting = asyncio.create_task(credentials.current())
    await issuer.asked.wait()
    await credentials.close()
    assert (await waiting).token == "t1"
    issuer.gate.set()
    assert (await credentials.current()).token == "t1"
    assert issuer.issued == 1


async def test_what_cannot_be_renewed_stays(issuer: Issuer) -> None:
    only = replace(issuer.issue(), renew=None)
    credentials = Credentials(only, issuer.clock)
    issuer.now += 7200
    assert await credentials.current(only) is only
