"""What a command is given beside its message: when it may act, its slot in the queue, its name and its log."""

from __future__ import annotations

import asyncio
import logging

from controller import errors, names
from controller.cloud import answers
from controller.cloud.answers import AlreadyAnswered
from controller.cloud.commands.command import Command, Semantics
from controller.cloud.commands.device_queue import Slot
from controller.cloud.commands.journal import Entry, Journal

OUTCOME_UNKNOWN = answers.error("outcome unknown: the controller stopped while the runtime carried it out")


class Call:
    """The context of one command. The command may read before ``begin``, and change things only after it.

    ``identity`` is the same for every delivery of a command and never leaves this process. ``name`` is that of its
    RuntimeCommand, which ``opening`` writes while the command reads: "" before ``begin``.
    """

    def __init__(self, command: Command, slot: Slot, journal: Journal, opening: asyncio.Task[Entry]) -> None:
        self.identity = command.identity
        self.slot = slot
        self.name = ""
        self.log = logging.LoggerAdapter(logging.getLogger(__name__), {"runtime": command.message.device})
        self._command = command
        self._journal = journal
        self._opening = opening

    @property
    def begun(self) -> bool:
        """Whether the command may have acted."""
        return bool(self.name)

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations for objects that the command writes; they explain later why a runtime was started or stopped."""
        return {names.REQUESTED_BY: f"{self._command.topic} {self.name}"}

    async def begin(self) -> bool:
        """Wait until the command is journaled; from here on it may act.

        Returns whether an earlier process began it, so that it may already be done, partly or completely. Raises
        AlreadyAnswered for a redelivery, errors.CommandError if a later command superseded it.
        """
        # The executor awaits the same task for the answer, so cancelling this wait must not cancel the task.
        entry = await asyncio.shield(self._opening)
        if entry.answer is not None:
            raise AlreadyAnswered(entry.answer)
        if entry.redelivered:
            await self._refuse_repetition(entry)
        self.name = entry.name
        self.log.extra = {"runtime": self._command.message.device, "command": entry.name}
        return entry.redelivered

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
