"""What a command is given beside its message: when it may act, its slot in the queue, its name and its log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from controller import errors, names
from controller.cloud import answers
from controller.cloud.answers import AlreadyAnswered, Answer
from controller.cloud.commands.command import Command, Semantics
from controller.cloud.commands.device_queue import Slot
from controller.cloud.commands.journal import Draft, Entry, Journal
from controller.machinery.writes import Selection, Write

OUTCOME_UNKNOWN = answers.error("outcome unknown: the controller stopped while the runtime carried it out")


class Call:
    """The context of one command. The command may read before ``begin``, and change things only after it.

    ``identity`` is the same for every delivery of a command and never leaves this process. ``name`` is that of its
    RuntimeCommand: "" before ``begin``.
    """

    def __init__(self, command: Command, slot: Slot, journal: Journal, draft: Draft) -> None:
        self.identity = command.identity
        self.slot = slot
        self.name = ""
        self.log = logging.LoggerAdapter(logging.getLogger(__name__), {"runtime": command.message.device})
        self._command = command
        self._journal = journal
        self._draft = draft
        self._opening: asyncio.Task[Entry] | None = None
        self._entry: Entry | None = None

    @property
    def begun(self) -> bool:
        """Whether the command may have acted."""
        return bool(self.name)

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations for objects that the command writes; they explain later why a runtime was started or stopped."""
        return {names.REQUESTED_BY: f"{self._command.topic} {self.name}"}

    def open(self) -> asyncio.Task[Entry]:
        """Begin to journal the command, at most once; it may read meanwhile."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._journal.open(self._draft))
        return self._opening

    async def entry(self) -> Entry:
        """The entry in the journal, written now if the command was refused before it was journaled."""
        return self._entry or await self.open()

    def close(self) -> None:
        """Cancel a write that nobody waits for any longer."""
        if self._opening is not None:
            self._opening.cancel()

    async def begin_with(
        self, change: Callable[[], Write], *, answer: Answer | None = None, unless: Selection | None = None
    ) -> dict[str, Any] | None:
        """Journal the command with its first change, all of it on disk or nothing; with its answer if this is known.

        Returns the changed object; None if that did not succeed, for any reason: then ``begin``, and change the same
        thing. One reason is an object that ``unless`` selects.
        """
        if not self._journal.is_atomic or self._opening is not None or self._draft.earlier is not None:
            return None
        self._take_name(self._draft.name)  # the change refers to it
        try:
            self._entry, changed = await self._journal.open_with(self._draft, change(), answer, unless)
        except errors.ApiError:
            self._take_name("")
            return None
        return changed

    async def begin(self) -> bool:
        """Wait until the command is journaled; from here on it may act.

        Returns whether an earlier process began it, so that it may already be done, partly or completely. Raises
        AlreadyAnswered for a redelivery, errors.CommandError if a later command superseded it.
        """
        # The executor awaits the same task for the answer, so cancelling this wait must not cancel the task.
        entry = await asyncio.shield(self.open())
        if entry.answer is not None:
            raise AlreadyAnswered(entry.answer)
        if entry.redelivered:
            await self._refuse_repetition(entry)
        self._take_name(entry.name)
        return entry.redelivered

    def _take_name(self, name: str) -> None:
        self.name = name
        self.log.extra = {"runtime": self._command.message.device, "command": name}

    async def wait_for_turn(self) -> None:
        """Wait for earlier commands. Begins before: a redelivery neither waits nor interrupts other commands."""
        if not self.slot.must_wait:
            return
        await self.begin()
        if self._command.semantics is Semantics.SUPERSEDING:
            self.slot.interrupt_earlier(f"cancelled by a later {self._command.topic}")
        await self.slot.wait_for_turn()

    async def _refuse_repetition(self, entry: Entry) -> None:
        # The runtime may have received the request before the crash, and a second one could act twice.
        if self._command.semantics is Semantics.AT_MOST_ONCE:
            raise AlreadyAnswered(OUTCOME_UNKNOWN)
        if later := await self._journal.superseded_by(entry, self._command.message.device):
            raise errors.CommandError(f"not executed again: superseded by a later {later} for the same device")
