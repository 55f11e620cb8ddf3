"""In-memory index of the journal's commands, so that lookups need not list the objects. Pure.

A command's age counts from when this process first saw it: the host's clock may be off by decades, and a recent
command must not be taken for an old one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import Any

from controller.api.runtimecommands import Phase, RuntimeCommandSpec
from controller.cloud.commands.command import Command, DigestKey


@dataclass
class CommandRecord:
    """One command; ``first_seen`` is on this process's monotonic clock, in seconds."""

    name: str
    spec: RuntimeCommandSpec
    first_seen: float
    outcome: Phase = "Pending"
    answered: bool = False

    @property
    def unfinished(self) -> bool:
        """Whether the command's work continues after its answer."""
        return self.answered and self.outcome == "Pending"


class CommandIndex:
    """``commands`` are the objects that existed when the process started."""

    def __init__(self, commands: list[dict[str, Any]], now: float) -> None:
        self._records: dict[str, CommandRecord] = {}
        # By digest key, as only commands with another key than the present one must be compared one by one.
        self._by_key: defaultdict[str, dict[str, CommandRecord]] = defaultdict(dict)
        for command in commands:
            self.add(_record(command, now))
        # Continues where earlier processes ended, as superseded_by compares commands of several processes.
        self._sequence = max((record.spec.sequence for record in self._records.values()), default=0)

    def __len__(self) -> int:
        return len(self._records)

    def next_sequence(self) -> int:
        """Number the next command. Order of arrival is counted, because a clock may jump."""
        self._sequence += 1
        return self._sequence

    def add(self, record: CommandRecord) -> None:
        """Add a new command."""
        self._records[record.name] = self._by_key[record.spec.digest_key][record.name] = record

    def adopt(self, command: dict[str, Any], now: float) -> CommandRecord:
        """The record of an existing object; adds one if its creation had seemed to fail."""
        found = _record(command, now)
        # A known record keeps the time when it was first seen.
        if found.name not in self._records:
            self.add(found)
        return self._records[found.name]

    def answered(self, name: str, outcome: Phase) -> None:
        """Record a command's outcome."""
        if record := self._records.get(name):
            record.answered, record.outcome = True, outcome

    def forget(self, name: str) -> None:
        """Remove a deleted command."""
        if record := self._records.pop(name, None):
            del self._by_key[record.spec.digest_key][name]

    def earlier(self, command: Command, key: DigestKey) -> CommandRecord | None:
        """The record of an earlier delivery of the same command."""
        if record := self._records.get(command.name(key)):
            return record
        # The name differs if the command was recorded with another key, or by version 0.1 without one.
        others = (records.values() for key_id, records in self._by_key.items() if key_id != key.id)
        return next((record for record in chain.from_iterable(others) if _is_same(record.spec, command)), None)

    def superseded_by(self, sequence: int, device: str) -> str:
        """The topic of the latest change for a device after ``sequence``, or ""."""
        specs = [record.spec for record in self._records.values()]
        later = [spec for spec in specs if spec.sequence > sequence and spec.device_id == device and spec.changes]
        return max(later, key=lambda spec: spec.sequence).topic if later else ""

    def unfinished(self, topic: str) -> list[str]:
        """Names of the commands of a topic whose work continues after their answer, in order of arrival."""
        found = [record for record in self._records.values() if record.unfinished and record.spec.topic == topic]
        return [record.name for record in sorted(found, key=lambda record: record.spec.sequence)]

    def surplus(self, before: float, limit: int) -> list[str]:
        """Names of the commands first seen before then, and of the oldest beyond ``limit``, requests before changes.

        Commands without an outcome may be in progress and are not removed to make room.
        """
        old = {record.name for record in self._records.values() if record.first_seen < before and not record.unfinished}
        rest = [record for name, record in self._records.items() if name not in old]
        done = sorted((record for record in rest if record.outcome != "Pending"), key=_priority)
        return [*old, *(record.name for record in done[: max(0, len(rest) - limit)])]


def _is_same(spec: RuntimeCommandSpec, command: Command) -> bool:
    """Whether a command that was recorded with another digest key is this one.

    Version 0.1 used no key. After a change of key payloads cannot be compared, so the other fields decide: a request
    that may have been sent before must not be sent again.
    """
    message = command.message
    if not message.requested_at:
        return False
    if not spec.digest_key:
        return spec.payload_hash == command.digest
    ours = (command.topic, message.device, str(message.correlation_id), message.requested_at)
    return ours == (spec.topic, spec.device_id, spec.correlation_id, spec.requested_at)


def _record(command: dict[str, Any], now: float) -> CommandRecord:
    status = command.get("status") or {}
    spec = RuntimeCommandSpec.model_validate(command["spec"])
    return CommandRecord(
        command["metadata"]["name"], spec, now, status.get("outcome", "Pending"), bool(status.get("answer"))
    )


def _priority(record: CommandRecord) -> tuple[bool, int]:
    return record.spec.changes, record.spec.sequence
