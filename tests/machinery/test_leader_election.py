"""Leader election: one leader at a time, a new one when it goes silent or stops, none without the API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controller import errors
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.leader_election import Election, Timing
from tests.support.edge_host import eventually
from tests.support.embedded_api import NAMESPACE, EmbeddedApi

QUICK = Timing(duration=2.0, deadline=1.0, every=0.1)


@pytest.fixture
async def api(embedded_api: EmbeddedApi) -> AsyncIterator[ApiClient]:
    """A client with all permissions; removes the Lease."""
    api = embedded_api.client(user="admin")
    yield api
    for found in await api.list(core_kinds.LEASES, NAMESPACE):
        await api.delete(core_kinds.LEASES, found["metadata"]["name"], NAMESPACE)
    await api.close()


class FlakyApi:
    """An API client of one candidate that can be made to fail."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self.away = False
        self.failing = 0
        self.failed = asyncio.Event()

    def __getattr__(self, verb: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            if self.away:
                raise errors.ApiUnavailableError("the API does not answer")
            if self.failing:
                self.failing -= 1
                self.failed.set()
                raise errors.ApiUnavailableError("the API does not answer once")
            return await getattr(self._api, verb)(*arguments, **named)

        return call


class Candidate:
    """A candidate running in a task; ``opened`` and ``closed`` show when it starts and stops leading."""

    def __init__(self, name: str, api: ApiClient, leading: list[str]) -> None:
        self.name = name
        self.api = FlakyApi(api)
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        self._leading = leading
        election = Election(self.api, NAMESPACE, "test", name, QUICK)  # type: ignore[arg-type]
        self.task = asyncio.create_task(election.run(self._lead))

    @contextlib.asynccontextmanager
    async def _lead(self) -> AsyncIterator[None]:
        assert not self._leading, f"{self._leading} leads, and now {self.name} as well"
        self._leading.append(self.name)
        self.opened.set()
        try:
            yield
        finally:
            self._leading.remove(self.name)
            self.closed.set()

    async def stop(self) -> None:
        """Stop it like a process that receives SIGTERM."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def until(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 30)


async def two(api: ApiClient) -> tuple[Candidate, Candidate, list[str]]:
    """The leader and a candidate that waits."""
    leading: list[str] = []
    first = Candidate("first", api, leading)
    await until(first.opened)
    return first, Candidate("second", api, leading), leading


async def holder(api: ApiClient) -> str:
    found: str = (await api.get(core_kinds.LEASES, "test", NAMESPACE))["spec"].get("holderIdentity", "")
    return found


async def test_the_second_candidate_leads_after_the_leader_stops(api: ApiClient) -> None:
    first, second, leading = await two(api)
    assert (leading, await holder(api)) == (["first"], "first")
    await first.stop()
    await until(second.opened)
    assert leading == ["second"]
    await second.stop()
    assert await holder(api) == ""


async def test_a_leader_that_cannot_renew_stops_before_the_next_one_starts(api: ApiClient) -> None:
    first, second, leading = await two(api)
    first.api.away = True
    await until(first.closed)
    assert not second.opened.is_set()
    await until(second.opened)
    assert leading == ["second"]
    first.opened.clear()
    first.api.away = False
    await second.stop()
    await until(first.opened)
    await first.stop()


async def test_a_killed_leader_is_replaced_when_its_lease_expires(api: ApiClient) -> None:
    first, second, leading = await two(api)
    first.api.away = True  # so that it cannot release the Lease
    await first.stop()
    assert await holder(api) == "first"
    await until(second.opened)
    assert leading == ["second"]
    assert (await api.get(core_kinds.LEASES, "test", NAMESPACE))["spec"]["leaseTransitions"] == 1
    await second.stop()


async def test_a_leader_that_took_over_survives_a_failed_renewal(api: ApiClient) -> None:
    first, second, leading = await two(api)
    first.api.away = True  # so that it cannot release the Lease
    await first.stop()
    await until(second.opened)
    second.api.failing = 1
    await until(second.api.failed)
    await renewed(api)
    assert not second.closed.is_set()
    assert leading == ["second"]
    await second.stop()


async def renewed(api: ApiClient) -> None:
    """Wait until the Lease is renewed."""

    async def renewal() -> str:
        return str((await api.get(core_kinds.LEASES, "test", NAMESPACE))["spec"]["renewTime"])

    async def changed() -> bool:
        return await renewal() != before

    before = await renewal()
    await eventually(changed, "the Lease is renewed", every=0.05)


async def test_a_lease_is_released_although_a_cancelled_renewal_was_stored(api: ApiClient) -> None:
    election = Election(api, NAMESPACE, "test", "first", QUICK)
    get, writes = api.get, iter([True])

    async def get_then_renew(*arguments: Any, **named: Any) -> dict[str, Any]:
        found = await get(*arguments, **named)
        if found["spec"].get("holderIdentity") == "first" and next(writes, False):
            await api.replace(core_kinds.LEASES, {**found, "spec": {**found["spec"], "leaseTransitions": 7}})
        return found

    @contextlib.asynccontextmanager
    async def lead() -> AsyncIterator[None]:
        api.get = get_then_renew  # type: ignore[method-assign]
        raise errors.ApiUnavailableError("not now")
        yield

    with contextlib.suppress(errors.ApiUnavailableError):
        await election.run(lead)
    assert await holder(api) == ""


async def test_a_leader_that_lost_its_lease_stops_at_once(api: ApiClient) -> None:
    first, second, _ = await two(api)
    await second.stop()
    usurped = {"holderIdentity": "somebody", "leaseDurationSeconds": 3600}
    await api.patch(core_kinds.LEASES, "test", NAMESPACE, {"spec": usurped})
    await until(first.closed)
    assert await holder(api) == "somebody"
    await first.stop()


async def test_a_deleted_lease_is_created_again(api: ApiClient) -> None:
    first, second, leading = await two(api)
    await second.stop()
    await api.delete(core_kinds.LEASES, "test", NAMESPACE)

    async def held() -> str:
        with contextlib.suppress(errors.NotFoundError):
            return await holder(api)
        return ""

    assert await eventually(held, "the Lease is created again", every=0.05) == "first"
    assert leading == ["first"]
    await first.stop()


async def test_a_failure_to_start_leading_releases_the_lease(api: ApiClient) -> None:
    @contextlib.asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise errors.ApiUnavailableError("not now")
        yield

    election = Election(api, NAMESPACE, "test", "first", QUICK)
    with contextlib.suppress(errors.ApiUnavailableError):
        await election.run(broken)
    assert await holder(api) == ""
