"""Routes an event to its topic: validates it, runs its command and returns the answer. Never raises."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from controller import errors
from controller.cloud.commands import answers
from controller.cloud.commands.answers import Answer
from controller.cloud.commands.command import Command
from controller.cloud.commands.executor import Executor, Semantics
from controller.cloud.contracts import base
from controller.cloud.echo import echo
from controller.cloud.topics import Topic

log = logging.getLogger(__name__)


Observe = Callable[[str, str, float], None]
"""Records an answer: its topic, or ``other`` for a name that the sender invented; success or error; seconds."""


class Dispatcher:
    """Called by the link with an event's name and arguments."""

    def __init__(self, topics: Sequence[Topic], executor: Executor, mode: base.Mode, observe: Observe) -> None:
        self._topics = {topic.name: topic for topic in topics}
        self._executor = executor
        self._mode = mode
        self._observe = observe

    async def __call__(self, event: str, arguments: Sequence[Any]) -> Answer:
        """Return the answer, with ``action`` and ``correlation_id`` as received."""
        began = time.monotonic()
        answer = await self._guarded_answer(event, arguments)
        outcome = "error" if answer.get("status") == "error" else "success"
        self._observe(event if event in self._topics else "other", outcome, time.monotonic() - began)
        return answer

    async def _guarded_answer(self, event: str, arguments: Sequence[Any]) -> Answer:
        echoed = echo(event, arguments)
        try:
            return {**echoed, **await self._answer(event, arguments)}
        except errors.EdgeError as error:
            log.info("Refused %s: %s", event[:64], error)
            return {**echoed, **answers.refusal(error)}
        except Exception:
            log.exception("Failed to answer %s", event[:64])
            return {**echoed, **answers.error(answers.INTERNAL_ERROR)}

    async def _answer(self, event: str, arguments: Sequence[Any]) -> Answer:
        topic = self._topics.get(event)
        if topic is None:
            raise errors.CommandError(f"unknown topic {event[:64]!r}: use one of {', '.join(sorted(self._topics))}")
        if len(arguments) != 1:
            raise errors.CommandError(f"{event} takes one object, got {len(arguments)} payloads")
        message = base.validate(topic.contract, event, arguments[0], self._mode, topic.limit)
        if query := topic.query(message):
            return await query(message)
        command = Command.of(event, arguments[0], message, changes=topic.semantics is not Semantics.AT_MOST_ONCE)
        return await self._executor.execute(command, topic.command, topic.semantics)
