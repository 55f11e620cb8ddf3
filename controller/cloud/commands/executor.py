"""Runs commands that change something: written down before they act, in order per device, once, to their end.

A command belongs to this process, not to the connection that brought it: when the link drops, it goes on, and the
same command on the next link gets its answer. Knows no topic.
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
    """How a topic is carried out."""

    QUERY = "question"  # answered at once, not written down
    IDEMPOTENT = "wish"  # idempotent: safe to carry out again when its end is unknown
    SUPERSEDING = "last wish"  # a wish that ends the waits of those before it
    AT_MOST_ONCE = "once"  # never carried out a second time


class Call:
    """The circumstances of one command, and the line between looking and acting.

    ``identity`` is the same for the same command, and stays in this process. ``name`` is that of its RuntimeCommand,
    which is being written while the command looks around: "" until it has begun.
    """

    def __init__(self, command: Command, turn: Slot, settle: Callable[[], Awaitable[Entry]]) -> None:
        self.identity = command.identity
        self.name = ""
        self.turn = turn
        self._topic = command.topic
        self.begun = False
        self._settle = settle

    @property
    def mark(self) -> dict[str, str]:
        """Annotations for what it writes once it has begun, which tell later why a runtime was started or stopped."""
        return {names.REQUESTED_BY: f"{self._topic} {self.name}"}

    async def begin(self) -> bool:
        """From here on the command may act: it is on disk, and it was not answered before.

        Whether a process that ended had begun it, so that it may be done in part or wholly.
        """
        entry = await self._settle()
        self.begun, self.name = True, entry.name
        return entry.redelivered


class AlreadyAnswered(Exception):  # noqa: N818 - an outcome: unwinds a command whose answer is there already
    """Carries that answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("the command was settled before")
        self.answer = answer


Act = Callable[[Any, Call], Awaitable[Answer]]


class Work(NamedTuple):
    """A command at work."""

    answer: asyncio.Future[Answer]
    task: asyncio.Task[None]


class Executor:
    """``seconds`` is the time in which a command is answered, from its arrival on."""

    def __init__(self, journal: Journal, seconds: float) -> None:
        self._journal = journal
        self._queues = DeviceQueues()
        self._seconds = seconds
        self._at_work: dict[str, Work] = {}
        self._being_kept: set[str] = set()

    async def execute(self, command: Command, act: Act, rule: Semantics) -> Answer:
        """The command's answer; the same command again, even at the same time, gets the same one."""
        work = self._at_work.get(command.identity) or self._begin(command, act, rule)
        return await asyncio.shield(work.answer)

    async def stop(self) -> None:
        """End the waits; what was written stands, and a command that comes again is taken up again.

        One that is done already has a moment to keep its answer.
        """
        works = dict(self._at_work)
        for identity, work in works.items():
            if identity not in self._being_kept:
                work.task.cancel()
        if works:
            await asyncio.wait([work.task for work in works.values()], timeout=STOP_SECONDS)

    def _begin(self, command: Command, act: Act, rule: Semantics) -> Work:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        turn = self._queues.enter(command.message.device, self._seconds)
        task = asyncio.create_task(self._run(command, act, rule, turn, answer), name=command.topic)
        work = self._at_work[command.identity] = Work(answer, task)
        task.add_done_callback(lambda _: self._at_work.pop(command.identity, None))
        return work

    async def _run(
        self, command: Command, act: Act, rule: Semantics, turn: Slot, answer: asyncio.Future[Answer]
    ) -> None:
        try:
            await self._once(command, act, rule, turn, answer)
        except errors.EdgeError as error:  # it could not even be written down
            answer.set_result(answers.refusal(error))
        except Exception:
            log.exception("%s failed", command.topic, extra={"runtime": command.message.device})
            if not answer.done():
                answer.set_result(answers.error(answers.INTERNAL_ERROR))
        finally:
            answer.cancel()  # does nothing to one that was given

    async def _once(
        self, command: Command, act: Act, rule: Semantics, turn: Slot, answer: asyncio.Future[Answer]
    ) -> None:
        opening = asyncio.create_task(self._journal.open(command))
        try:
            call = Call(command, turn, partial(self._settle, command, rule, opening))
            found = await self._carry_out(command, act, rule, call)
            entry = await opening
        finally:
            opening.cancel()
            turn.leave()  # the next one need not wait until the answer is kept
        if entry.answer is None:
            await self._keep(command, entry, found)
        answer.set_result(entry.answer or found)

    async def _keep(self, command: Command, entry: Entry, answer: Answer) -> None:
        """On disk before it is given, so that the same answer comes again whatever happens next."""
        self._being_kept.add(command.identity)
        try:
            await self._journal.close(entry.name, answer, _outcome(answer))
        finally:
            self._being_kept.discard(command.identity)

    async def _settle(self, command: Command, rule: Semantics, opening: asyncio.Task[Entry]) -> Entry:
        """The command's entry. Raises Settled, or errors.CommandError when it was overtaken."""
        entry = await asyncio.shield(opening)
        if entry.answer is not None:
            raise AlreadyAnswered(entry.answer)
        if entry.redelivered and rule is Semantics.AT_MOST_ONCE:
            raise AlreadyAnswered(OUTCOME_UNKNOWN)
        if entry.redelivered and (later := await self._journal.overtaken_by(entry, command.message.device)):
            raise errors.CommandError(f"not carried out again: {later} for the same device came after it")
        return entry

    async def _carry_out(self, command: Command, act: Act, rule: Semantics, call: Call) -> Answer:
        try:
            await self._wait_for_turn(command, rule, call)
            answer = await act(command.message, call)
            if not call.begun:
                raise RuntimeError("the command acted before it was written down")
        except AlreadyAnswered as settled:
            return settled.answer
        except errors.EdgeError as error:
            log.info("%s refused: %s", command.topic, error, extra=_about(command, call))
            return answers.refusal(error)
        except Exception:
            log.exception("%s failed", command.topic, extra=_about(command, call))
            return answers.error(answers.INTERNAL_ERROR)
        log.info("%s: %s", command.topic, answer.get("status"), extra=_about(command, call))
        return answer

    async def _wait_for_turn(self, command: Command, rule: Semantics, call: Call) -> None:
        """What is settled need not wait, and only a wish that is to be carried out may end the waits of others."""
        if not call.turn.must_wait:
            return
        await call.begin()
        if rule is Semantics.SUPERSEDING:
            call.turn.interrupt_those_before(f"cancelled: {command.topic} came after it")
        await call.turn.start()


def _about(command: Command, call: Call) -> dict[str, str]:
    """What a line of the log is about; a command that has not begun has no name yet."""
    return {"runtime": command.message.device, **({"command": call.name} if call.name else {})}


def _outcome(answer: Answer) -> Phase:
    """What is accepted goes on after its answer, so it is not done yet."""
    if answer is OUTCOME_UNKNOWN:
        return "Unknown"
    if answer.get("status") == "accepted":
        return "Pending"
    return "Failed" if answer.get("status") == "error" else "Succeeded"
