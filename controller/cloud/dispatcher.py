"""Answers events of the cloud: routes each to its topic, validates it and runs its command."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from controller import errors
from controller.cloud import answers
from controller.cloud.answers import Answer
from controller.cloud.commands.command import Command, Semantics
from controller.cloud.commands.executor import Executor
from controller.cloud.contracts import base
from controller.cloud.packets import Incoming
from controller.cloud.topics import Topic

MAX_IN_FLIGHT = 256

log = logging.getLogger(__name__)

Observe = Callable[[str, str, float], None]
"""Records an answer: its topic, or ``other`` for a name that the sender invented; success or error; seconds."""


class Dispatcher:
    """Answers at most ``max_in_flight`` events at a time, over all connections."""

    def __init__(
        self,
        topics: Sequence[Topic],
        executor: Executor,
        mode: base.Mode,
        observe: Observe,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._topics = {topic.name: topic for topic in topics}
        self._executor = executor
        self._mode = mode
        self._observe = observe
        self._max_in_flight = max_in_flight
        self._in_flight = 0

    async def answer(self, event: Incoming) -> Answer:
        """Return the answer, valid JSON of bounded size. Raises only if the caller is cancelled.

        A command enters the queue of its device before the first await, which keeps commands in order of arrival.
        """
        echoed = answers.echo(event.name, event.arguments)
        if fault := self._overload() or event.fault:
            log.warning("Refused %s: %s", event.name, fault)
            return {**echoed, **answers.error(fault)}
        began = time.monotonic()
        self._in_flight += 1
        try:
            with answers.Guard(event.name, log) as guard:
                guard.answer = answers.sendable({**echoed, **await self._route(event)})
        finally:
            self._in_flight -= 1
        answer = {**echoed, **guard.answer}
        outcome = "error" if answer.get("status") == "error" else "success"
        # Each label is a series of the metrics: names of the sender's choice would add them without a bound.
        self._observe(event.name if event.name in self._topics else "other", outcome, time.monotonic() - began)
        return answer

    def _overload(self) -> str:
        if self._in_flight < self._max_in_flight:
            return ""
        return f"the agent is busy with {self._max_in_flight} commands: send it again later"

    async def _route(self, event: Incoming) -> Answer:
        topic = self._topics.get(event.name)
        if topic is None:
            known = ", ".join(sorted(self._topics))
            raise errors.CommandError(f"unknown topic {event.name[:64]!r}: use one of {known}")
        if len(event.arguments) != 1:
            raise errors.CommandError(f"{event.name} takes one object, got {len(event.arguments)} payloads")
        payload = event.arguments[0]
        message = base.validate(topic.contract, topic.name, payload, self._mode, topic.limit)
        if topic.semantics is Semantics.QUERY:
            return await topic.command(message)
        # Neither queued nor journaled: a page that polls a runtime must not wait behind its start or stop.
        if topic.read and topic.read.matches(message):
            return await topic.read.command(message)
        command = Command.of(topic.name, payload, message, topic.semantics)
        return await self._executor.execute(command, topic.command)
