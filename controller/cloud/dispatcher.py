"""From an event of the link to its answer: topic, contract, command. Answers everything and raises nothing."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

from controller import errors
from controller.cloud.commands import answers
from controller.cloud.commands.answers import Answer
from controller.cloud.commands.command import Command
from controller.cloud.commands.executor import Executor, Rule
from controller.cloud.contracts import base
from controller.cloud.topics import Topic

MOST_AT_ONCE = 256

log = logging.getLogger(__name__)


class Dispatcher:
    """Called by the link with the name of an event and its arguments."""

    def __init__(self, topics: Sequence[Topic], executor: Executor, mode: base.Mode) -> None:
        self._topics = {topic.name: topic for topic in topics}
        self._executor = executor
        self._mode = mode
        self._under_way = 0

    async def __call__(self, event: str, arguments: Sequence[Any]) -> Answer:
        """The answer, with ``action`` and ``correlation_id`` as received, whatever came."""
        echo = {"action": event, "correlation_id": _correlation_id(arguments)}
        if self._under_way >= MOST_AT_ONCE:
            return {**echo, **answers.error(f"{MOST_AT_ONCE} commands are under way: send it again later")}
        self._under_way += 1
        try:
            return {**echo, **await self._answer(event, arguments)}
        except errors.EdgeError as error:
            log.info("%s refused: %s", event[:64], error)
            return {**echo, **answers.refusal(error)}
        except Exception:
            log.exception("%s failed", event[:64])
            return {**echo, **answers.error(answers.INTERNAL_ERROR)}
        finally:
            self._under_way -= 1

    async def _answer(self, event: str, arguments: Sequence[Any]) -> Answer:
        topic = self._topics.get(event)
        if topic is None:
            raise errors.CommandError(f"unknown topic {event[:64]!r}; known are {', '.join(sorted(self._topics))}")
        if len(arguments) != 1:
            raise errors.CommandError(f"{event} takes one object, and {len(arguments)} payloads came")
        message = base.validate(topic.contract, event, arguments[0], self._mode, topic.limit)
        if question := topic.question(message):
            return await question(message)
        command = Command.of(event, arguments[0], message, changes=topic.rule is not Rule.ONCE)
        return await self._executor.execute(command, topic.command, topic.rule)


def _correlation_id(arguments: Sequence[Any]) -> Any:
    """The correlation id as received, where it is one that an answer can carry; else None."""
    payload = arguments[0] if len(arguments) == 1 else None
    received = payload.get("correlation_id") if isinstance(payload, dict) else None
    if isinstance(received, float):
        return received if math.isfinite(received) else None
    if isinstance(received, int):
        return received if received.bit_length() <= 256 else None
    return received if isinstance(received, str) and len(received) <= 253 else None
