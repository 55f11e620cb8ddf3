"""Runs commands that change something: journaled before they act, in order per device, once, to completion.

A command belongs to this process, not to the connection it arrived on: when the link drops it continues, and the
same command on the next connection gets its answer. Knows no topic.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from controller.api.runtimecommands import Phase
from controller.cloud.answers import Answer, Guard
from controller.cloud.commands.call import OUTCOME_UNKNOWN, Call
from controller.cloud.commands.command import Command, Semantics
from controller.cloud.commands.device_queue import DeviceQueues, Slot
from controller.cloud.commands.journal import Journal

STOP_SECONDS = 2.0

Handler = Callable[[Any, Call], Awaitable[Answer]]


class Executor:
    """``seconds`` is the time limit for answering a command, counted from its arrival."""

    def __init__(self, journal: Journal, seconds: float) -> None:
        self._journal = journal
        self._queues = DeviceQueues()
        self._seconds = seconds
        self._in_progress: dict[str, asyncio.Task[Answer]] = {}
        self._being_saved: set[str] = set()

    async def execute(self, command: Command, handler: Handler) -> Answer:
        """Run a command and return its answer. A concurrent or later duplicate gets the same answer.

        Raises errors.EdgeError if the command cannot be journaled.
        """
        task = self._in_progress.get(command.identity)
        if task is None:
            slot = self._queues.enqueue(command.message.device, self._seconds)
            task = asyncio.create_task(self._run(command, handler, slot), name=command.topic)
            # Before the first await, so that a concurrent duplicate finds it.
            self._in_progress[command.identity] = task
            task.add_done_callback(lambda _: self._in_progress.pop(command.identity, None))
        await asyncio.wait([task])  # awaiting the task itself would cancel it together with the caller
        return task.result()

    async def stop(self) -> None:
        """Cancel all commands. Their changes to the API stay, and a redelivered command is resumed.

        Commands that are already saving their answer get a moment to finish.
        """
        # A copy, because a task that ends removes itself.
        tasks = dict(self._in_progress)
        for identity, task in tasks.items():
            if identity not in self._being_saved:
                task.cancel()
        if tasks:
            await asyncio.wait(tasks.values(), timeout=STOP_SECONDS)

    async def _run(self, command: Command, handler: Handler, slot: Slot) -> Answer:
        with contextlib.ExitStack() as ended:
            ended.callback(slot.release)  # the next command need not wait until the answer is saved
            call = Call(command, slot, self._journal, await self._journal.draft(command))
            ended.callback(call.close)
            # The write runs while the command reads what it needs; the command acts only after begin().
            if command.semantics is not Semantics.ATOMIC or not self._journal.is_atomic:
                call.open()
            with Guard(command.topic, call.log) as guard:
                await call.wait_for_turn()
                guard.answer = await handler(command.message, call)
                if not call.begun:
                    raise RuntimeError("the command acted before it was journaled")
                call.log.info("Answered %s: %s", command.topic, guard.answer.get("status"))
            # Refused commands are journaled as well: their redelivery gets the same refusal.
            entry = await call.entry()
        if entry.answer is None:
            await self._save(command, entry.name, guard.answer, call)
        return entry.answer or guard.answer

    async def _save(self, command: Command, name: str, answer: Answer, call: Call) -> None:
        """Write the answer to disk before it is sent, so that a redelivery gets the same one even after a crash."""
        self._being_saved.add(command.identity)
        try:
            with Guard(command.topic, call.log):  # the command is done: no failure to save it loses its answer
                await self._journal.close(name, answer, _outcome(answer))
        finally:
            self._being_saved.discard(command.identity)


def _outcome(answer: Answer) -> Phase:
    """The outcome to record. An accepted command continues after its answer, so it is still pending."""
    if answer is OUTCOME_UNKNOWN:
        return "Unknown"
    if answer.get("status") == "accepted":
        return "Pending"
    return "Failed" if answer.get("status") == "error" else "Succeeded"
