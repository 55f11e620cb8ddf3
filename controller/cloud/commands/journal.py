"""Commands as objects: a RuntimeCommand is written before its command acts, and keeps its answer.

Its name is made from topic, correlation id, requested_at and payload, so that creating it twice is the
de-duplication, also over a restart. Kept 24 h, 500 at most. Knows no topic.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from controller import errors
from controller.cloud.commands.answers import Answer
from controller.cloud.contracts.base import Message
from controller.resources import kinds, runtimecommands
from controller.resources.client import ApiClient
from controller.resources.timestamps import rfc3339_micro, seconds

KEPT_SECONDS = 24 * 3600
KEPT_COUNT = 500
PRUNE_SECONDS = 600
MARGIN = 50  # how many more than KEPT_COUNT may stand before the next round is brought forward

log = logging.getLogger(__name__)


class Command(NamedTuple):
    """One command as it came; ``changes`` is whether it wishes something, else it is passed on to the runtime."""

    topic: str
    message: Message
    digest: str
    name: str
    changes: bool

    @classmethod
    def of(cls, topic: str, payload: dict[str, Any], message: Message, *, changes: bool) -> Command:
        """``payload`` is the whole object as received: it makes the identity.

        Without requested_at two equal messages may be two wishes, so nothing counts as redelivered.
        """
        canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(f"{topic}\n{canonical}".encode()).hexdigest()
        unique = digest if message.requested_at else uuid.uuid4().hex
        return cls(topic, message, digest, f"{topic.replace('_', '-')}-{unique[:20]}", changes)


class Entry(NamedTuple):
    """A command in the journal. ``answer`` is the first one's when it was given already."""

    name: str
    sequence: int
    redelivered: bool = False
    answer: Answer | None = None


class Journal:
    """The RuntimeCommands of one namespace; one process writes them."""

    def __init__(self, api: ApiClient, namespace: str, clock: Callable[[], float] = time.time) -> None:
        self._api = api
        self._namespace = namespace
        self._clock = clock
        self._sequence: int | None = None
        self._counting = asyncio.Lock()
        self._count = 0
        self._crowded = asyncio.Event()

    async def open(self, command: Command) -> Entry:
        """Write the command down, on disk before this returns, or find that it came before."""
        sequence = await self._next_sequence()
        body = {"metadata": {"name": command.name, "namespace": self._namespace}}
        spec = runtimecommands.RuntimeCommandSpec(
            topic=command.topic,
            device_id=command.message.device,
            correlation_id=str(command.message.correlation_id),
            requested_at=command.message.requested_at or "",
            payload_hash=command.digest,
            received_at=rfc3339_micro(self._clock()),
            sequence=sequence,
            changes=command.changes,
        )
        try:
            await self._api.create(kinds.RUNTIME_COMMANDS, {**body, "spec": spec.wire()})
        except errors.AlreadyExistsError:
            return _entry(await self._api.get(kinds.RUNTIME_COMMANDS, command.name, self._namespace))
        self._count_one()
        return Entry(command.name, sequence)

    async def close(self, name: str, answer: Answer, outcome: runtimecommands.Phase) -> None:
        """Keep the answer for those who ask again. A failure is logged: the command itself is done."""
        status = runtimecommands.RuntimeCommandStatus(
            outcome=outcome,
            finished_at=rfc3339_micro(self._clock()),
            message=str(answer.get("error") or answer.get("message") or "")[:1024],
            answer=_kept(answer),
        )
        await self._write_status(name, status.wire())

    async def finish(self, name: str) -> None:
        """Mark work as done that went on after its answer."""
        await self._write_status(name, {"outcome": "Succeeded", "finishedAt": rfc3339_micro(self._clock())})

    async def overtaken_by(self, entry: Entry, device: str) -> str:
        """The topic of a wish for the same device that came after ``entry``, or "": what is older must not undo it."""
        later = [
            spec
            for spec in map(_spec, await self._list())
            if spec.sequence > entry.sequence and spec.device_id == device and spec.changes
        ]
        return max(later, key=lambda spec: spec.sequence).topic if later else ""

    async def unfinished(self, topic: str) -> list[str]:
        """Names of the commands of a topic that were answered and whose work is not done."""
        return [
            command["metadata"]["name"]
            for command in await self._list()
            if _spec(command).topic == topic and _is_unfinished(command)
        ]

    async def run(self) -> None:
        """Keep the journal bounded, for ever."""
        while True:
            try:
                await self.prune()
            except errors.ApiError as error:
                log.warning("old commands could not be removed: %s", error)
            try:
                await asyncio.wait_for(self._crowded.wait(), PRUNE_SECONDS)
            except TimeoutError:
                continue

    async def prune(self) -> None:
        """Remove what is older than 24 h, and the oldest beyond 500; requests to runtimes go before wishes.

        What has no answer yet may be at work, so it is never surplus.
        """
        self._crowded.clear()
        commands = await self._list()
        expired = [c for c in commands if self._age(c) > KEPT_SECONDS and not _is_unfinished(c)]
        rest = [c for c in commands if c not in expired]
        done = sorted((c for c in rest if _is_done(c)), key=_worth)
        surplus = done[: max(0, len(rest) - KEPT_COUNT)]
        for command in expired + surplus:
            await self._remove(command["metadata"]["name"])
        self._count = len(rest) - len(surplus)

    async def _remove(self, name: str) -> None:
        try:
            await self._api.delete(kinds.RUNTIME_COMMANDS, name, self._namespace)
        except errors.NotFoundError:
            log.debug("command %s was removed by somebody else", name)

    async def _write_status(self, name: str, status: dict[str, Any]) -> None:
        try:
            await self._api.patch(
                kinds.RUNTIME_COMMANDS, name, self._namespace, {"status": status}, subresource="status"
            )
        except errors.ApiError as error:
            log.warning("the outcome could not be kept: %s", error, extra={"command": name})

    async def _next_sequence(self) -> int:
        """Order of arrival. Counted, because a clock may jump."""
        async with self._counting:
            if self._sequence is None:
                self._sequence = max((_spec(command).sequence for command in await self._list()), default=0)
            self._sequence += 1
            return self._sequence

    async def _list(self) -> list[dict[str, Any]]:
        return await self._api.list(kinds.RUNTIME_COMMANDS, self._namespace)

    def _count_one(self) -> None:
        self._count += 1
        if self._count > KEPT_COUNT + MARGIN:
            self._crowded.set()

    def _age(self, command: dict[str, Any]) -> float:
        return self._clock() - (seconds(_spec(command).received_at) or 0.0)


def _spec(command: dict[str, Any]) -> runtimecommands.RuntimeCommandSpec:
    return runtimecommands.RuntimeCommandSpec.model_validate(command["spec"])


def _worth(command: dict[str, Any]) -> tuple[bool, int]:
    spec = _spec(command)
    return spec.changes, spec.sequence


def _is_unfinished(command: dict[str, Any]) -> bool:
    """Answered, and still at work: only what goes on after its answer looks so."""
    status = command.get("status") or {}
    return bool(status.get("answer")) and status.get("outcome") == "Pending"


def _is_done(command: dict[str, Any]) -> bool:
    return bool((command.get("status") or {}).get("outcome", "Pending") != "Pending")


def _entry(command: dict[str, Any]) -> Entry:
    text = (command.get("status") or {}).get("answer")
    answer: Answer | None = json.loads(text) if text else None
    return Entry(command["metadata"]["name"], _spec(command).sequence, redelivered=True, answer=answer)


def _kept(answer: Answer) -> str:
    """The answer as JSON text; one that is too long loses the body of its HTTP response, then its headers."""
    text = json.dumps(answer)
    for part, nothing in (("body", None), ("headers", {})):
        if len(text) > runtimecommands.ANSWER_LIMIT:
            response = {**answer.get("http_response", {}), part: nothing, "truncated": True}
            answer = {**answer, "http_response": response}
            text = json.dumps(answer)
    return text
