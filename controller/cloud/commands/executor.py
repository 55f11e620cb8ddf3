"""Runs commands that change something: journalled first, in order per device, once, to their end.

A command belongs to this process, not to the connection that brought it: when the link drops, it goes on, and the
same command on the next link gets its answer. Knows no topic.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, NamedTuple

from controller import errors
from controller.cloud.commands import answers
from controller.cloud.commands.answers import Answer
from controller.cloud.commands.journal import Command, Entry, Journal
from controller.cloud.commands.lanes import Lanes, Turn
from controller.resources.runtimecommands import Phase

STOP_SECONDS = 2.0
OUTCOME_UNKNOWN = answers.error("outcome unknown: the controller stopped while the runtime carried it out")

log = logging.getLogger(__name__)


class Rule(Enum):
    """How a topic is carried out."""

    QUESTION = "question"  # answered at once, not written down
    WISH = "wish"  # idempotent: safe to carry out again when its end is unknown
    LAST_WISH = "last wish"  # a wish that ends the waits of those before it
    ONCE = "once"  # never carried out a second time


class Call(NamedTuple):
    """The circumstances of one command."""

    name: str  # of its RuntimeCommand
    turn: Turn
    resumed: bool = False  # it was carried out before, at least in part, by a process that ended


Act = Callable[[Any, Call], Awaitable[Answer]]


class Work(NamedTuple):
    """A command at work: its task goes on a moment after its answer, until that is kept."""

    answer: asyncio.Future[Answer]
    task: asyncio.Task[None]


class Executor:
    """``seconds`` is the time in which a command is answered, from its arrival on."""

    def __init__(self, journal: Journal, seconds: float) -> None:
        self._journal = journal
        self._lanes = Lanes()
        self._seconds = seconds
        self._at_work: dict[str, Work] = {}

    async def execute(self, command: Command, act: Act, rule: Rule) -> Answer:
        """The command's answer; the same command again, even at the same time, gets the same one."""
        work = self._at_work.get(command.name) or self._begin(command, act, rule)
        return await asyncio.shield(work.answer)

    async def stop(self) -> None:
        """End the waits; what was written stands, and a command that comes again is taken up again."""
        works = list(self._at_work.values())
        for work in works:
            if not work.answer.done():
                work.task.cancel()
        if works:
            await asyncio.wait([work.task for work in works], timeout=STOP_SECONDS)

    def _begin(self, command: Command, act: Act, rule: Rule) -> Work:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        turn = self._lanes.enter(command.message.device, self._seconds, ordered=command.message.ordered)
        task = asyncio.create_task(self._run(command, act, rule, turn, answer), name=command.name)
        work = self._at_work[command.name] = Work(answer, task)
        task.add_done_callback(lambda _: self._at_work.pop(command.name, None))
        return work

    async def _run(self, command: Command, act: Act, rule: Rule, turn: Turn, answer: asyncio.Future[Answer]) -> None:
        try:
            await self._once(command, act, rule, turn, answer)
        except errors.EdgeError as error:  # it could not even be written down
            answer.set_result(answers.refusal(error))
        except Exception:
            log.exception("%s failed", command.topic, extra={"command": command.name})
            answer.set_result(answers.error(answers.INTERNAL_ERROR))
        finally:
            answer.cancel()  # does nothing to one that was given
            turn.leave()

    async def _once(self, command: Command, act: Act, rule: Rule, turn: Turn, answer: asyncio.Future[Answer]) -> None:
        entry = await self._journal.open(command)
        if entry.answer is not None:
            answer.set_result(entry.answer)
        elif rule is not Rule.ONCE:
            # Kept after it was sent: a wish that is carried out again gives the same answer.
            answer.set_result(await self._carry_out(command, entry, act, rule, turn))
            await self._journal.close(entry.name, answer.result(), _outcome(answer.result()))
        elif entry.redelivered:
            await self._journal.close(entry.name, OUTCOME_UNKNOWN, "Unknown")
            answer.set_result(OUTCOME_UNKNOWN)
        else:
            final = await self._carry_out(command, entry, act, rule, turn)
            await self._journal.close(entry.name, final, _outcome(final))
            answer.set_result(final)

    async def _carry_out(self, command: Command, entry: Entry, act: Act, rule: Rule, turn: Turn) -> Answer:
        labels = {"command": entry.name, "runtime": command.message.device}
        try:
            if entry.redelivered:
                await self._refuse_when_overtaken(command, entry)
            if rule is Rule.LAST_WISH:
                turn.interrupt_those_before(f"cancelled: {command.topic} came after it")
            await turn.start()
            answer = await act(command.message, Call(entry.name, turn, entry.redelivered))
        except errors.EdgeError as error:
            log.info("%s refused: %s", command.topic, error, extra=labels)
            return answers.refusal(error)
        except Exception:
            log.exception("%s failed", command.topic, extra=labels)
            return answers.error(answers.INTERNAL_ERROR)
        log.info("%s: %s", command.topic, answer.get("status"), extra=labels)
        return answer

    async def _refuse_when_overtaken(self, command: Command, entry: Entry) -> None:
        later = await self._journal.overtaken_by(entry, command.message.device)
        if later:
            raise errors.CommandError(f"not carried out again: {later} for the same device came after it")


def _outcome(answer: Answer) -> Phase:
    """What is accepted goes on after its answer, so it is not done yet."""
    if answer.get("status") == "accepted":
        return "Pending"
    return "Failed" if answer.get("status") == "error" else "Succeeded"
