"""Journals commands as RuntimeCommand objects, written before a command acts and updated with its outcome.

An object's name is derived from topic, correlation id, requested_at and payload, so a duplicate fails to be created,
even after a restart. Objects are kept for 24 h, at most 500 of them. Knows no topic.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from controller import boottime, errors
from controller.api import kinds, runtimecommands
from controller.cloud.answers import Answer
from controller.cloud.commands import records
from controller.cloud.commands.command import Command, DigestKey
from controller.cloud.commands.command_index import CommandIndex, CommandRecord
from controller.machinery import writes
from controller.machinery.client import ApiClient
from controller.machinery.controller import Controller
from controller.machinery.timestamps import rfc3339_micro
from controller.machinery.writes import Selection, Write

MAX_AGE_SECONDS = 24 * 3600
MAX_COUNT = 500
PRUNE_SECONDS = 600
MARGIN = 50  # this many more than MAX_COUNT trigger an early pruning

log = logging.getLogger(__name__)


class Draft(NamedTuple):
    """A command that is not recorded yet, and the record of its earlier delivery, if any."""

    name: str
    spec: runtimecommands.RuntimeCommandSpec
    earlier: CommandRecord | None


class Entry(NamedTuple):
    """A command in the journal; ``answer`` is the one that is recorded, if any."""

    name: str
    sequence: int
    redelivered: bool = False
    answer: Answer | None = None


class Journal:
    """The RuntimeCommands of one namespace. Only one process may write them at a time.

    ``load_key`` is called in a thread until it succeeds once; ``elapsed`` is a monotonic clock in seconds. ``changed``
    is called with each object that was changed together with the record of its command.
    """

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        load_key: Callable[[], DigestKey],
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = boottime.now,
        changed: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._load_key = load_key
        self._clock = clock
        self._elapsed = elapsed
        self._changed = changed
        self._digest_key: DigestKey | None = None
        self._index: CommandIndex | None = None
        self._loading = asyncio.Lock()
        self._cache = records.AnswerCache()
        self.controller = Controller("remove old commands", self.prune, period=PRUNE_SECONDS)

    async def draft(self, command: Command) -> Draft:
        """Number the command, and find its earlier delivery. Call in the order of arrival."""
        index, key = await self._loaded_index(), await self._key()
        return Draft(command.name(key), self._spec(command, key, index.next_sequence()), index.earlier(command, key))

    async def open(self, draft: Draft) -> Entry:
        """Record the command, on disk before this returns, or find the entry of an earlier delivery."""
        index = await self._loaded_index()
        if earlier := draft.earlier:
            # The cache comes first: the object lacks the runtime's response.
            if whole := self._cache.get(earlier.name):
                return Entry(earlier.name, earlier.spec.sequence, redelivered=True, answer=whole)
            if found := await self._existing_entry(index, earlier.name):
                return found
        try:
            await self._api.create(kinds.RUNTIME_COMMANDS, self._manifest(draft))
        # An earlier creation that seemed to fail, for example by a timeout, may have been executed.
        except errors.AlreadyExistsError:
            if found := await self._existing_entry(index, draft.name):
                return found
            raise
        return self._add(index, CommandRecord(draft.name, draft.spec, self._elapsed()))

    @property
    def is_atomic(self) -> bool:
        """Whether ``open_with`` works."""
        return self._api.has_transactions

    async def open_with(
        self, draft: Draft, change: Write, answer: Answer | None, unless: Selection | None
    ) -> tuple[Entry, dict[str, Any]]:
        """Record a new command with its first change, and with its answer if this is known: all of it or nothing.

        It is on disk before this returns the entry and the changed object. Raises errors.ApiError. If that leaves open
        what happened, ``open`` finds out.
        """
        index, manifest = await self._loaded_index(), self._manifest(draft)
        if answer is not None:
            manifest["status"] = await self._status(answer, "Succeeded")
        _, changed = await self._api.transaction(
            writes.creation(kinds.RUNTIME_COMMANDS, manifest), change, unless=unless
        )
        self._changed(changed)
        record = CommandRecord(draft.name, draft.spec, self._elapsed())
        if answer is not None:
            self._cache.put(draft.name, answer)
            record.outcome, record.answered = "Succeeded", True
        return self._add(index, record, answer), changed

    async def close(self, name: str, answer: Answer, outcome: runtimecommands.Phase) -> None:
        """Save the answer for redeliveries, on disk before this returns.

        A failure is only logged: the command itself is done, and its answer stays in memory.
        """
        # Before the writes, which may fail: redeliveries then get the answer from memory.
        self._cache.put(name, answer)
        (await self._loaded_index()).answered(name, outcome)
        await self._write_status(name, await self._status(answer, outcome))

    async def finish(self, name: str) -> None:
        """Mark a command as succeeded whose work continued after its answer."""
        (await self._loaded_index()).answered(name, "Succeeded")
        await self._write_status(name, {"outcome": "Succeeded", "finishedAt": rfc3339_micro(self._clock())})

    async def superseded_by(self, entry: Entry, device: str) -> str:
        """The topic of a later change for the device, which ``entry`` must not undo, or ""."""
        return (await self._loaded_index()).superseded_by(entry.sequence, device)

    async def unfinished(self, topic: str) -> list[str]:
        """Names of the commands of a topic that were answered but whose work has not finished."""
        return (await self._loaded_index()).unfinished(topic)

    async def prune(self) -> None:
        """Remove commands that this process has known for 24 h, and the oldest beyond 500."""
        index = await self._loaded_index()
        for name in index.surplus(self._elapsed() - MAX_AGE_SECONDS, MAX_COUNT):
            await self._api.delete(kinds.RUNTIME_COMMANDS, name, self._namespace)
            index.forget(name)

    async def _existing_entry(self, index: CommandIndex, name: str) -> Entry | None:
        """The entry of an earlier delivery; None if the object was deleted."""
        try:
            found = await self._api.get(kinds.RUNTIME_COMMANDS, name, self._namespace)
        except errors.NotFoundError:
            return None
        record = index.adopt(found, self._elapsed())
        return Entry(name, record.spec.sequence, redelivered=True, answer=records.answer(found))

    def _add(self, index: CommandIndex, record: CommandRecord, answer: Answer | None = None) -> Entry:
        index.add(record)
        if len(index) > MAX_COUNT + MARGIN:
            self.controller.trigger()
        return Entry(record.name, record.spec.sequence, answer=answer)

    def _manifest(self, draft: Draft) -> dict[str, Any]:
        return {"metadata": {"name": draft.name, "namespace": self._namespace}, "spec": draft.spec.wire()}

    async def _status(self, answer: Answer, outcome: runtimecommands.Phase) -> dict[str, Any]:
        return records.status(answer, outcome, rfc3339_micro(self._clock()), await self._key()).wire()

    def _spec(self, command: Command, key: DigestKey, sequence: int) -> runtimecommands.RuntimeCommandSpec:
        return runtimecommands.RuntimeCommandSpec(
            topic=command.topic,
            device_id=command.message.device,
            correlation_id=str(command.message.correlation_id),
            requested_at=command.message.requested_at or "",
            payload_hash=key.of(command.digest),
            digest_key=key.id,
            received_at=rfc3339_micro(self._clock()),
            sequence=sequence,
            changes=command.changes,
        )

    async def _loaded_index(self) -> CommandIndex:
        """The register, read from the API on first use. Raises errors.ApiError."""
        async with self._loading:
            # Under the lock, as two indexes would give the same sequence number to two commands.
            if self._index is None:
                commands = await self._api.list(kinds.RUNTIME_COMMANDS, self._namespace)
                await self._remove_responses(commands)
                self._index = CommandIndex(commands, self._elapsed())
            return self._index

    async def _key(self) -> DigestKey:
        """The digest key, read once per process. Raises errors.CommandError if its file cannot be read."""
        async with self._loading:
            if self._digest_key is None:
                self._digest_key = await asyncio.to_thread(self._load_key)
            return self._digest_key

    async def _remove_responses(self, commands: list[dict[str, Any]]) -> None:
        """Remove the runtimes' responses from commands that version 0.1 recorded: they may hold secrets."""
        for command in commands:
            if status := records.without_response(command):
                await self._write_status(command["metadata"]["name"], status)

    async def _write_status(self, name: str, status: dict[str, Any]) -> None:
        try:
            await self._api.patch(
                kinds.RUNTIME_COMMANDS, name, self._namespace, {"status": status}, subresource="status"
            )
        except errors.ApiError as error:
            log.warning("Failed to save the command's outcome: %s", error, extra={"command": name})
