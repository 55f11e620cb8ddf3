"""The journal is bounded: 24 hours, 500 commands, requests to runtimes go before wishes."""

from __future__ import annotations

import pytest

from controller.cloud.commands import journal as journals
from controller.cloud.commands.journal import Command, Journal
from controller.cloud.contracts.base import DeviceMessage
from controller.resources import kinds
from tests.support.command_site import NAMESPACE, NOW
from tests.support.fake_api import FakeApi


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def command(number: int, *, changes: bool = True) -> Command:
    """A command; equal numbers are the same command."""
    requested_at = "2026-01-01T00:00:00Z"
    payload = {"correlation_id": number, "requested_at": requested_at, "device_id": "plc-1"}
    message = DeviceMessage(correlation_id=number, requested_at=requested_at, device_id="plc-1")
    return Command.of("stop_device" if changes else "run_command", payload, message, changes=changes)


async def done(journal: Journal, one: Command) -> None:
    """A command from beginning to end."""
    await journal.open(one)
    await journal.close(one.name, {"status": "success"}, "Succeeded")


async def names_of(api: FakeApi) -> set[str]:
    """Names of the commands that are kept."""
    return {c["metadata"]["name"] for c in await api.list(kinds.RUNTIME_COMMANDS, NAMESPACE)}


async def test_a_day_later_a_command_is_forgotten(api: FakeApi) -> None:
    clock = Clock()
    journal = Journal(api, NAMESPACE, clock)
    await done(journal, command(1))
    clock.now += journals.KEPT_SECONDS
    await done(journal, command(2))
    await journal.prune()
    assert await names_of(api) == {command(1).name, command(2).name}
    clock.now += 1
    await journal.prune()
    assert await names_of(api) == {command(2).name}


async def test_the_oldest_go_first_and_requests_before_wishes(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "KEPT_COUNT", 3)
    journal = Journal(api, NAMESPACE)
    for number, changes in enumerate([True, True, False, True, False]):
        await done(journal, command(number, changes=changes))
    await journal.prune()
    assert await names_of(api) == {command(0).name, command(1).name, command(3).name}


async def test_a_command_without_an_answer_is_never_surplus(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "KEPT_COUNT", 1)
    journal = Journal(api, NAMESPACE)
    await journal.open(command(1, changes=False))
    await done(journal, command(2))
    await journal.prune()
    assert await names_of(api) == {command(1, changes=False).name}


async def test_the_order_goes_on_after_a_restart(api: FakeApi) -> None:
    first = await Journal(api, NAMESPACE).open(command(1))
    second = await Journal(api, NAMESPACE).open(command(2))
    assert second.sequence > first.sequence


async def test_a_clock_set_back_does_not_change_the_order(api: FakeApi) -> None:
    clock = Clock()
    journal = Journal(api, NAMESPACE, clock)
    older = await journal.open(command(1))
    clock.now -= 10 * 365 * 24 * 3600
    await journal.open(command(2))
    assert await journal.overtaken_by(older, "plc-1") == "stop_device"
