"""Runs commands that change something: journaled before they act, in order per device, once, to completion.

A command belongs to this process, not to the connection it arrived on: when the link drops it continues, and the
same command on the next connection gets its answer. Knows no topic.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

from controller import errors, names
from controller.api.runtimecommands import Phase
from controller.cloud.commands import answers
from controller.cloud.commands.answers import Answer
from controller.cloud.commands.command import Command
from controller.cloud.commands.device_queue import DeviceQueues, Slot
from controller.cloud.commands.journal import Entry, Journal

STOP_SECONDS = 2.0
OUTCOME_UNKNOWN = answers.error("outcome unknown: the controller stopped while the runtime carried it out")

log = logging.getLogger(__name__)


class Semantics(Enum):
    """How a topic is executed."""

    QUERY = "query"  # answered at once, not journaled
    IDEMPOTENT = "idempotent"  # executed again if its outcome is unknown
    SUPERSEDING = "superseding"  # idempotent, and interrupts the waits of earlier commands
    AT_MOST_ONCE = "at most once"  # never executed again


class Call:
    """The context of one command. The command may read before ``begin``, and change things only after it.

    ``identity`` is the same for every delivery of a command and never leaves this process. ``name`` is that of its
    RuntimeCommand, which is written while the command reads: "" before ``begin``.
    """

    def __init__(self, command: Command, slot: Slot, resolve: Callable[[], Awaitable[Entry]]) -> None:
        self.identity = command.identity
        self.name = ""
        self.slot = slot
        self._topic = command.topic
        self.begun = False
        self._resolve = resolve

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations for objects that the command writes; they explain later why a runtime was started or stopped."""
        return {names.REQUESTED_BY: f"{self._topic} {self.name}"}

    async def begin(self) -> bool:
        """Wait until the command is journaled; from here on it may act. Raises AlreadyAnswered for a redelivery.

        Returns whether an earlier process began it, so that it may already be done, partly or completely.
        """
        entry = await self._resolve()
        self.begun, self.name = True, entry.name
        return entry.redelivered


class AlreadyAnswered(Exception):  # noqa: N818 - not an error: unwinds a command that was answered before
    """Carries the earlier answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("the command was already answered")
        self.answer = answer


Handler = Callable[[Any, Call], Awaitable[Answer]]


class Execution(NamedTuple):
    """A command in progress."""

    answer: asyncio.Future[Answer]
    task: asyncio.Task[None]


class Executor:
    """``seconds`` is the time limit for answering a command, counted from its arrival."""

    def __init__(self, journal: Journal, seconds: float) -> None:
        self._journal = journal
        self._queues = DeviceQueues()
        self._seconds = seconds
        self._in_progress: dict[str, Execution] = {}
        self._being_saved: set[str] = set()

    async def execute(self, command: Command, handler: Handler, semantics: Semantics) -> Answer:
        """Run a command and return its answer. A concurrent or later duplicate gets the same answer."""
        execution = self._in_progress.get(command.identity) or self._begin(command, handler, semantics)
        return await asyncio.shield(execution.answer)

    async def stop(self) -> None:
        """Cancel all commands. Their changes to the API stay, and a redelivered command is resumed.

        Commands that are already saving their answer get a moment to finish.
        """
        executions = dict(self._in_progress)
        for identity, execution in executions.items():
            if identity not in self._being_saved:
                execution.task.cancel()
        if executions:
            await asyncio.wait([execution.task for execution in executions.values()], timeout=STOP_SECONDS)

    def _begin(self, command: Command, handler: Handler, semantics: Semantics) -> Execution:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        slot = self._queues.enqueue(command.message.device, self._seconds)
        task = asyncio.create_task(self._run(command, handler, semantics, slot, answer), name=command.topic)
        execution = self._in_progress[command.identity] = Execution(answer, task)
        task.add_done_callback(lambda _: self._in_progress.pop(command.identity, None))
        return execution

    async def _run(
        self, command: Command, handler: Handler, semantics: Semantics, slot: Slot, answer: asyncio.Future[Answer]
    ) -> None:
        try:
            await self._execute(command, handler, semantics, slot, answer)
        except errors.EdgeError as error:  # journaling it failed
            answer.set_result(answers.refusal(error))
        except Exception:
            log.exception("Failed to execute %s", command.topic, extra={"runtime": command.message.device})
            if not answer.done():
                answer.set_result(answers.error(answers.INTERNAL_ERROR))
        finally:
            answer.cancel()  # no effect if the answer is set

    async def _execute(
        self, command: Command, handler: Handler, semantics: Semantics, slot: Slot, answer: asyncio.Future[Answer]
    ) -> None:
        opening = asyncio.create_task(self._journal.open(command))
        try:
            call = Call(command, slot, partial(self._resolve, command, semantics, opening))
            found = await self._handle(command, handler, semantics, call)
            entry = await opening
        finally:
            opening.cancel()
            slot.release()  # the next command need not wait until the answer is saved
        if entry.answer is None:
            await self._save(command, entry, found)
        answer.set_result(entry.answer or found)

    async def _save(self, command: Command, entry: Entry, answer: Answer) -> None:
        """Write the answer to disk before it is sent, so that a redelivery gets the same one even after a crash."""
        self._being_saved.add(command.identity)
        try:
            await self._journal.close(entry.name, answer, _outcome(answer))
        finally:
            self._being_saved.discard(command.identity)

    async def _resolve(self, command: Command, semantics: Semantics, opening: asyncio.Task[Entry]) -> Entry:
        """The command's entry. Raises AlreadyAnswered, or errors.CommandError if a later command superseded it."""
        entry = await asyncio.shield(opening)
        if entry.answer is not None:
            raise AlreadyAnswered(entry.answer)
        if entry.redelivered and semantics is Semantics.AT_MOST_ONCE:
            raise AlreadyAnswered(OUTCOME_UNKNOWN)
        if entry.redelivered and (later := await self._journal.superseded_by(entry, command.message.device)):
            raise errors.CommandError(f"not executed again: superseded by a later {later} for the same device")
        return entry

    async def _handle(self, command: Command, handler: Handler, semantics: Semantics, call: Call) -> Answer:
        try:
            await self._wait_for_turn(command, semantics, call)
            answer = await handler(command.message, call)
            if not call.begun:
                raise RuntimeError("the command acted before it was journaled")
        except AlreadyAnswered as earlier:
            return earlier.answer
        except errors.EdgeError as error:
            log.info("Refused %s: %s", command.topic, error, extra=_about(command, call))
            return answers.refusal(error)
        except Exception:
            log.exception("Failed to execute %s", command.topic, extra=_about(command, call))
            return answers.error(answers.INTERNAL_ERROR)
        log.info("Answered %s: %s", command.topic, answer.get("status"), extra=_about(command, call))
        return answer

    async def _wait_for_turn(self, command: Command, semantics: Semantics, call: Call) -> None:
        """Wait for earlier commands. Calls begin first: a redelivery neither waits nor interrupts other commands."""
        if not call.slot.must_wait:
            return
        await call.begin()
        if semantics is Semantics.SUPERSEDING:
            call.slot.interrupt_earlier(f"cancelled by a later {command.topic}")
        await call.slot.wait_for_turn()


def _about(command: Command, call: Call) -> dict[str, str]:
    """Fields for log lines; a command that has not begun has no name yet."""
    return {"runtime": command.message.device, **({"command": call.name} if call.name else {})}


def _outcome(answer: Answer) -> Phase:
    """The outcome to record. An accepted command continues after its answer, so it is still pending."""
    if answer is OUTCOME_UNKNOWN:
        return "Unknown"
    if answer.get("status") == "accepted":
        return "Pending"
    return "Failed" if answer.get("status") == "error" else "Succeeded"
