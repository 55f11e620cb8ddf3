"""Commands as objects: a RuntimeCommand is written before its command acts, and keeps how it ended.

Its name is made from topic, correlation id, requested_at and payload, so that creating it twice is the
de-duplication, also over a restart. Kept for 24 h, 500 at most. Knows no topic.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from controller import boottime, errors
from controller.api import kinds, runtimecommands
from controller.cloud.commands import records
from controller.cloud.commands.answer_memory import AnswerMemory
from controller.cloud.commands.answers import Answer
from controller.cloud.commands.command import Command
from controller.cloud.commands.register import Known, Register
from controller.cloud.commands.seal import Seal
from controller.machinery.client import ApiClient
from controller.machinery.timestamps import rfc3339_micro

KEPT_SECONDS = 24 * 3600
KEPT_COUNT = 500
PRUNE_SECONDS = 600
MARGIN = 50  # how many more than KEPT_COUNT may stand before the next round is brought forward

log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """A command in the journal. ``answer`` is the first one's when it was given already."""

    name: str
    sequence: int
    redelivered: bool = False
    answer: Answer | None = None


class Journal:
    """The RuntimeCommands of one namespace; one process writes them.

    ``load_seal`` is called in a thread, until it succeeds; ``elapsed`` is a clock that nobody sets, in seconds.
    """

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        load_seal: Callable[[], Seal],
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = boottime.now,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._load_seal = load_seal
        self._clock = clock
        self._elapsed = elapsed
        self._seal: Seal | None = None
        self._register: Register | None = None
        self._loading = asyncio.Lock()
        self._memory = AnswerMemory()
        self._crowded = asyncio.Event()

    async def open(self, command: Command) -> Entry:
        """Write the command down, on disk before this returns, or find that it came before."""
        register, seal = await self._loaded(), await self._key()
        if earlier := register.earlier(command, seal):
            if whole := self._memory.get(earlier.name):
                return Entry(earlier.name, earlier.spec.sequence, redelivered=True, answer=whole)
            if found := await self._again(register, earlier.name):
                return found
        name, spec = command.name(seal), self._spec(command, seal, register.next_sequence())
        metadata = {"name": name, "namespace": self._namespace}
        try:
            await self._api.create(kinds.RUNTIME_COMMANDS, {"metadata": metadata, "spec": spec.wire()})
        except errors.AlreadyExistsError:
            if found := await self._again(register, name):
                return found
            raise
        register.add(Known(name, spec, self._elapsed()))
        if len(register) > KEPT_COUNT + MARGIN:
            self._crowded.set()
        return Entry(name, spec.sequence)

    async def close(self, name: str, answer: Answer, outcome: runtimecommands.Phase) -> None:
        """Keep the answer for those who ask again, on disk before this returns.

        A failure is logged: the command itself is done, and its answer stays in memory.
        """
        self._memory.put(name, answer)
        (await self._loaded()).answered(name, outcome)
        status = records.status(answer, outcome, rfc3339_micro(self._clock()), await self._key())
        await self._write_status(name, status.wire())

    async def finish(self, name: str) -> None:
        """Mark work as done that went on after its answer."""
        (await self._loaded()).answered(name, "Succeeded")
        await self._write_status(name, {"outcome": "Succeeded", "finishedAt": rfc3339_micro(self._clock())})

    async def overtaken_by(self, entry: Entry, device: str) -> str:
        """The topic of a change for the same device that came after ``entry``, or "": an older one must not undo it."""
        return (await self._loaded()).overtaken_by(entry.sequence, device)

    async def unfinished(self, topic: str) -> list[str]:
        """Names of the commands of a topic that were answered and whose work is not done."""
        return (await self._loaded()).unfinished(topic)

    async def run(self) -> None:
        """Keep the journal bounded, without end."""
        while True:
            try:
                await self.prune()
            except errors.EdgeError as error:
                log.warning("old commands could not be removed: %s", error)
            try:
                await asyncio.wait_for(self._crowded.wait(), PRUNE_SECONDS)
            except TimeoutError:
                continue

    async def prune(self) -> None:
        """Remove what this process has known for 24 h, and the oldest beyond 500."""
        self._crowded.clear()
        register = await self._loaded()
        for name in register.surplus(self._elapsed() - KEPT_SECONDS, KEPT_COUNT):
            await self._remove(name)
            register.forget(name)

    async def _again(self, register: Register, name: str) -> Entry | None:
        """The entry of a command that came before; None when somebody removed it."""
        try:
            found = await self._api.get(kinds.RUNTIME_COMMANDS, name, self._namespace)
        except errors.NotFoundError:
            return None
        known = register.learn(found, self._elapsed())
        return Entry(name, known.spec.sequence, redelivered=True, answer=records.answer(found))

    def _spec(self, command: Command, seal: Seal, sequence: int) -> runtimecommands.RuntimeCommandSpec:
        return runtimecommands.RuntimeCommandSpec(
            topic=command.topic,
            device_id=command.message.device,
            correlation_id=str(command.message.correlation_id),
            requested_at=command.message.requested_at or "",
            payload_hash=seal.of(command.digest),
            digest_key=seal.key_id,
            received_at=rfc3339_micro(self._clock()),
            sequence=sequence,
            changes=command.changes,
        )

    async def _loaded(self) -> Register:
        """The register; read from the API once. Raises errors.ApiError."""
        async with self._loading:
            if self._register is None:
                commands = await self._api.list(kinds.RUNTIME_COMMANDS, self._namespace)
                await self._strip(commands)
                self._register = Register(commands, self._elapsed())
            return self._register

    async def _key(self) -> Seal:
        """The seal; the same while the process lives. Raises errors.CommandError where its file cannot be read."""
        async with self._loading:
            if self._seal is None:
                self._seal = await asyncio.to_thread(self._load_seal)
            return self._seal

    async def _strip(self, commands: list[dict[str, Any]]) -> None:
        """Take from the commands of 0.1 what runtimes sent."""
        for command in commands:
            if status := records.without_response(command):
                await self._write_status(command["metadata"]["name"], status)

    async def _remove(self, name: str) -> None:
        try:
            await self._api.delete(kinds.RUNTIME_COMMANDS, name, self._namespace)
        except errors.NotFoundError:
            log.debug("command %s was removed by somebody else", name)

    async def _write_status(self, name: str, status: dict[str, Any]) -> None:
        try:
            await self._api.patch(
                kinds.RUNTIME_COMMANDS, name, self._namespace, {"status": status}, subresource="status"
            )
        except errors.ApiError as error:
            log.warning("the outcome could not be kept: %s", error, extra={"command": name})
