"""The journal is bounded: 24 hours, 500 commands, requests to runtimes go before changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller import errors
from controller.api import kinds
from controller.cloud.commands import journal as journals
from controller.cloud.commands.command import Command
from controller.cloud.commands.digest_key import DigestKey
from controller.cloud.commands.journal import Journal
from controller.cloud.contracts.base import DeviceMessage
from tests.support.command_harness import NAMESPACE, NOW
from tests.support.fake_api import FakeApi

KEY = DigestKey(b"a private key")
YEARS = 365 * 24 * 3600.0


class Clock:
    """Time that a test moves."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Process:
    """One process's journal, with its clocks."""

    def __init__(self, api: FakeApi, key: DigestKey = KEY) -> None:
        self.wall, self.elapsed = Clock(NOW), Clock(0.0)
        self.journal = Journal(api, NAMESPACE, lambda: key, self.wall, self.elapsed)

    async def do(self, command: Command) -> None:
        """A command from beginning to end."""
        entry = await self.journal.open(command)
        await self.journal.close(entry.name, {"status": "success"}, "Succeeded")


@pytest.fixture
def process(api: FakeApi) -> Process:
    """The only process."""
    return Process(api)


def command(number: int, *, changes: bool = True) -> Command:
    """A command; equal numbers are the same command."""
    requested_at = "2026-01-01T00:00:00Z"
    payload = {"correlation_id": number, "requested_at": requested_at, "device_id": "plc-1"}
    message = DeviceMessage(correlation_id=number, requested_at=requested_at, device_id="plc-1")
    return Command.of("stop_device" if changes else "run_command", payload, message, changes=changes)


def names(*commands: Command) -> set[str]:
    """The names of their objects."""
    return {one.name(KEY) for one in commands}


async def kept(api: FakeApi) -> set[str]:
    """Names of the commands that are kept."""
    return {c["metadata"]["name"] for c in await api.list(kinds.RUNTIME_COMMANDS, NAMESPACE)}


async def test_a_day_later_a_command_is_forgotten(api: FakeApi, process: Process) -> None:
    await process.do(command(1))
    process.elapsed.now += journals.KEPT_SECONDS
    await process.do(command(2))
    await process.journal.prune()
    assert await kept(api) == names(command(1), command(2))
    process.elapsed.now += 1
    await process.journal.prune()
    assert await kept(api) == names(command(2))


@pytest.mark.parametrize("jump", [YEARS, 50 * YEARS, -50 * YEARS])
async def test_a_clock_that_jumps_makes_no_command_old(api: FakeApi, process: Process, jump: float) -> None:
    await process.do(command(1))
    await process.journal.open(command(2))
    process.wall.now += jump
    await process.journal.prune()
    assert await kept(api) == names(command(1), command(2))


async def test_a_start_with_a_wrong_clock_makes_no_command_old(api: FakeApi, process: Process) -> None:
    await process.do(command(1))
    for now in (0.0, NOW + 50 * YEARS):
        later = Process(api)
        later.wall.now = now
        await later.journal.prune()
    assert await kept(api) == names(command(1))


async def test_the_oldest_go_first_and_requests_before_changes(
    api: FakeApi, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "KEPT_COUNT", 3)
    for number, changes in enumerate([True, True, False, True, False]):
        await process.do(command(number, changes=changes))
    await process.journal.prune()
    assert await kept(api) == names(command(0), command(1), command(3))


async def test_a_command_without_an_answer_is_never_surplus(
    api: FakeApi, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "KEPT_COUNT", 1)
    await process.journal.open(command(1, changes=False))
    await process.do(command(2))
    await process.journal.prune()
    assert await kept(api) == names(command(1, changes=False))


async def test_the_objects_are_listed_once(api: FakeApi, process: Process) -> None:
    entry = await process.journal.open(command(1))
    for number in range(2, 5):
        await process.do(command(number))
        await process.journal.prune()
        await process.journal.superseded_by(entry, "plc-1")
        await process.journal.unfinished("stop_device")
    assert api.requests.count(("list", "runtimecommands")) == 1


async def test_the_order_goes_on_after_a_restart(api: FakeApi) -> None:
    first = await Process(api).journal.open(command(1))
    second = await Process(api).journal.open(command(2))
    assert second.sequence > first.sequence


async def test_a_clock_set_back_does_not_change_the_order(process: Process) -> None:
    older = await process.journal.open(command(1))
    process.wall.now -= 10 * YEARS
    await process.journal.open(command(2))
    assert await process.journal.superseded_by(older, "plc-1") == "stop_device"


async def test_a_command_that_somebody_removed_is_a_new_one(api: FakeApi, process: Process) -> None:
    await process.journal.open(command(1))
    api.remove(kinds.RUNTIME_COMMANDS, command(1).name(KEY), NAMESPACE)
    assert not (await process.journal.open(command(1))).redelivered
    assert await kept(api) == names(command(1))


async def test_a_command_whose_creation_seemed_to_fail_is_known_when_it_comes_again(
    api: FakeApi, process: Process
) -> None:
    await process.do(command(1))
    await Process(api).journal.open(command(2))  # it is there, and this process was not told
    assert (await process.journal.open(command(2))).redelivered
    process.elapsed.now += journals.KEPT_SECONDS + 1
    await process.journal.prune()
    assert await kept(api) == set()


async def test_after_a_change_of_key_a_command_is_still_known(api: FakeApi, process: Process) -> None:
    await process.journal.open(command(1))
    renewed = Process(api, DigestKey(b"another private key"))
    assert (await renewed.journal.open(command(1))).redelivered
    assert not (await renewed.journal.open(command(2))).redelivered


async def test_without_the_key_nothing_is_recorded_and_the_rest_goes_on(api: FakeApi, tmp_path: Path) -> None:
    await Process(api).do(command(1))
    missing = tmp_path / "client.key"
    elapsed = Clock(0.0)
    journal = Journal(api, NAMESPACE, lambda: DigestKey.load(missing), elapsed=elapsed)
    with pytest.raises(errors.CommandError, match=str(missing)):
        await journal.open(command(2))
    await journal.prune()
    elapsed.now += journals.KEPT_SECONDS + 1
    await journal.prune()
    assert await kept(api) == set()
    missing.write_bytes(b"a private key")
    assert (await journal.open(command(2))).name == command(2).name(KEY)


def test_a_digest_cannot_be_made_without_the_key() -> None:
    assert DigestKey(b"one").of("1234") != DigestKey(b"another").of("1234")
    assert DigestKey(b"one").id != DigestKey(b"another").id
    assert DigestKey(b"one").of("1234") == DigestKey(b"one").of("1234")
