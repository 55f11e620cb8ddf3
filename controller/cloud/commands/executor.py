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


class Executor:
    """``seconds`` is the time in which a command is answered, from its arrival on."""

    def __init__(self, journal: Journal, seconds: float) -> None:
        self._journal = journal
        self._lanes = Lanes()
        self._seconds = seconds
        self._at_work: dict[str, asyncio.Task[Answer]] = {}

    async def execute(self, command: Command, act: Act, rule: Rule) -> Answer:
        """The command's answer; the same command again, even at the same time, gets the same one."""
        task = self._at_work.get(command.name)
        if task is None:
            turn = self._lanes.enter(command.message.device, self._seconds, ordered=command.message.ordered)
            task = asyncio.create_task(self._run(command, act, rule, turn), name=command.name)
            self._at_work[command.name] = task
            task.add_done_callback(lambda _: self._at_work.pop(command.name, None))
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """End the waits; what was written stands, and a command that comes again is taken up again."""
        tasks = list(self._at_work.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, command: Command, act: Act, rule: Rule, turn: Turn) -> Answer:
        try:
            return await self._once(command, act, rule, turn)
        except errors.EdgeError as error:  # it could not even be written down
            return answers.refusal(error)
        finally:
            self._journal.abandon(command.name)
            turn.leave()

    async def _once(self, command: Command, act: Act, rule: Rule, turn: Turn) -> Answer:
        entry = await self._journal.open(command)
        if entry.answer is not None:
            return entry.answer
        if entry.redelivered and rule is Rule.ONCE:
            answer = answers.error("outcome unknown: the controller stopped while the runtime carried it out")
            await self._journal.close(entry.name, answer, "Unknown")
            return answer
        answer = await self._carry_out(command, entry, act, rule, turn)
        await self._journal.close(entry.name, answer, "Pending" if answer.get("status") == "accepted" else None)
        return answer

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
