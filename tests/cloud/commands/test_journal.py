"""The journal is bounded to 24 hours and 500 commands; requests to runtimes are removed before changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller import errors
from controller.api import kinds
from controller.cloud.commands import journal as journals
from controller.cloud.commands.command import Command, DigestKey, Semantics
from controller.cloud.commands.journal import Entry, Journal
from controller.cloud.contracts.base import DeviceMessage
from tests.support.command_harness import NAMESPACE, NOW
from tests.support.direct_api import DirectApi

KEY = DigestKey(b"a private key")
YEARS = 365 * 24 * 3600.0


class Clock:
    """A clock that tests set."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Process:
    """The journal of one process, with its clocks."""

    def __init__(self, api: DirectApi, key: DigestKey = KEY) -> None:
        self.wall, self.elapsed = Clock(NOW), Clock(0.0)
        self.journal = Journal(api, NAMESPACE, lambda: key, self.wall, self.elapsed)

    async def open(self, command: Command) -> Entry:
        """Record a command."""
        return await self.journal.open(await self.journal.draft(command))

    async def do(self, command: Command) -> None:
        """Run a command from start to end."""
        entry = await self.open(command)
        await self.journal.close(entry.name, {"status": "success"}, "Succeeded")


@pytest.fixture
def process(api: DirectApi) -> Process:
    """The only process."""
    return Process(api)


def command(number: int, *, changes: bool = True) -> Command:
    """A command; equal numbers make the same command."""
    requested_at = "2026-01-01T00:00:00Z"
    payload = {"correlation_id": number, "requested_at": requested_at, "device_id": "plc-1"}
    message = DeviceMessage(correlation_id=number, requested_at=requested_at, device_id="plc-1")
    topic, semantics = ("stop_device", Semantics.IDEMPOTENT) if changes else ("run_command", Semantics.AT_MOST_ONCE)
    return Command.of(topic, payload, message, semantics)


def names(*commands: Command) -> set[str]:
    """The names of their objects."""
    return {one.name(KEY) for one in commands}


async def kept(api: DirectApi) -> set[str]:
    """The names of the commands in the journal."""
    return {c["metadata"]["name"] for c in await api.list(kinds.RUNTIME_COMMANDS, NAMESPACE)}


async def test_a_command_is_removed_after_a_day(api: DirectApi, process: Process) -> None:
    await process.do(command(1))
    process.elapsed.now += journals.MAX_AGE_SECONDS
    await process.do(command(2))
    await process.journal.prune()
    assert await kept(api) == names(command(1), command(2))
    process.elapsed.now += 1
    await process.journal.prune()
    assert await kept(api) == names(command(2))


@pytest.mark.parametrize("jump", [YEARS, 50 * YEARS, -50 * YEARS])
async def test_a_clock_jump_does_not_age_commands(api: DirectApi, process: Process, jump: float) -> None:
    await process.do(command(1))
    await process.open(command(2))
    process.wall.now += jump
    await process.journal.prune()
    assert await kept(api) == names(command(1), command(2))


async def test_starting_with_a_wrong_clock_does_not_age_commands(api: DirectApi, process: Process) -> None:
    await process.do(command(1))
    for now in (0.0, NOW + 50 * YEARS):
        later = Process(api)
        later.wall.now = now
        await later.journal.prune()
    assert await kept(api) == names(command(1))


async def test_the_oldest_are_removed_first_and_requests_before_changes(
    api: DirectApi, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "MAX_COUNT", 3)
    for number, changes in enumerate([True, True, False, True, False]):
        await process.do(command(number, changes=changes))
    await process.journal.prune()
    assert await kept(api) == names(command(0), command(1), command(3))


async def test_a_command_without_an_answer_is_never_removed(
    api: DirectApi, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "MAX_COUNT", 1)
    await process.open(command(1, changes=False))
    await process.do(command(2))
    await process.journal.prune()
    assert await kept(api) == names(command(1, changes=False))


async def test_the_objects_are_listed_only_once(api: DirectApi, process: Process) -> None:
    entry = await process.open(command(1))
    for number in range(2, 5):
        await process.do(command(number))
        await process.journal.prune()
        await process.journal.superseded_by(entry, "plc-1")
        await process.journal.unfinished("stop_device")
    assert api.requests.count(("list", "runtimecommands")) == 1


async def test_the_sequence_continues_after_a_restart(api: DirectApi) -> None:
    first = await Process(api).open(command(1))
    second = await Process(api).open(command(2))
    assert second.sequence > first.sequence


async def test_setting_the_clock_back_does_not_change_the_order(process: Process) -> None:
    older = await process.open(command(1))
    process.wall.now -= 10 * YEARS
    await process.open(command(2))
    assert await process.journal.superseded_by(older, "plc-1") == "stop_device"


async def test_a_command_whose_object_was_deleted_counts_as_new(api: DirectApi, process: Process) -> None:
    await process.open(command(1))
    await api.remove(kinds.RUNTIME_COMMANDS, command(1).name(KEY), NAMESPACE)
    assert not (await process.open(command(1))).redelivered
    assert await kept(api) == names(command(1))


async def test_a_command_whose_creation_seemed_to_fail_is_recognised_on_redelivery(
    api: DirectApi, process: Process
) -> None:
    await process.do(command(1))
    await Process(api).open(command(2))  # created, but unknown to this process
    assert (await process.open(command(2))).redelivered
    process.elapsed.now += journals.MAX_AGE_SECONDS + 1
    await process.journal.prune()
    assert await kept(api) == set()


async def test_a_command_is_recognised_after_a_change_of_key(api: DirectApi, process: Process) -> None:
    await process.open(command(1))
    renewed = Process(api, DigestKey(b"another private key"))
    assert (await renewed.open(command(1))).redelivered
    assert not (await renewed.open(command(2))).redelivered


async def test_a_removed_command_with_a_former_key_is_not_recognised(api: DirectApi, process: Process) -> None:
    await process.do(command(1))
    renewed = Process(api, DigestKey(b"another private key"))
    await renewed.journal.prune()
    renewed.elapsed.now += journals.MAX_AGE_SECONDS + 1
    await renewed.journal.prune()
    assert (await renewed.journal.draft(command(1))).earlier is None


async def test_without_the_key_recording_fails_but_pruning_continues(api: DirectApi, tmp_path: Path) -> None:
    await Process(api).do(command(1))
    missing = tmp_path / "client.key"
    elapsed = Clock(0.0)
    journal = Journal(api, NAMESPACE, lambda: DigestKey.load(missing), elapsed=elapsed)
    with pytest.raises(errors.CommandError, match=str(missing)):
        await journal.open(await journal.draft(command(2)))
    await journal.prune()
    elapsed.now += journals.MAX_AGE_SECONDS + 1
    await journal.prune()
    assert await kept(api) == set()
    missing.write_bytes(b"a private key")
    assert (await journal.open(await journal.draft(command(2)))).name == command(2).name(KEY)


def test_digests_depend_on_the_key() -> None:
    assert DigestKey(b"one").of("1234") != DigestKey(b"another").of("1234")
    assert DigestKey(b"one").id != DigestKey(b"another").id
    assert DigestKey(b"one").of("1234") == DigestKey(b"one").of("1234")
