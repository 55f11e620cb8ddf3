"""From an event of the link to its answer: topic, contract, command. Answers everything and raises nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
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


class Dispatcher:
    """Called by the link with the name of an event and its arguments."""

    def __init__(self, topics: Sequence[Topic], executor: Executor, mode: base.Mode) -> None:
        self._topics = {topic.name: topic for topic in topics}
        self._executor = executor
        self._mode = mode

    async def __call__(self, event: str, arguments: Sequence[Any]) -> Answer:
        """The answer, with ``action`` and ``correlation_id`` as received, whatever came."""
        repeated = echo(event, arguments)
        try:
            return {**repeated, **await self._answer(event, arguments)}
        except errors.EdgeError as error:
            log.info("%s refused: %s", event[:64], error)
            return {**repeated, **answers.refusal(error)}
        except Exception:
            log.exception("%s failed", event[:64])
            return {**repeated, **answers.error(answers.INTERNAL_ERROR)}

    async def _answer(self, event: str, arguments: Sequence[Any]) -> Answer:
        topic = self._topics.get(event)
        if topic is None:
            raise errors.CommandError(f"unknown topic {event[:64]!r}; known are {', '.join(sorted(self._topics))}")
        if len(arguments) != 1:
            raise errors.CommandError(f"{event} takes one object, and {len(arguments)} payloads came")
        message = base.validate(topic.contract, event, arguments[0], self._mode, topic.limit)
        if question := topic.question(message):
            return await question(message)
        command = Command.of(event, arguments[0], message, changes=topic.rule is not Semantics.AT_MOST_ONCE)
        return await self._executor.execute(command, topic.command, topic.rule)
