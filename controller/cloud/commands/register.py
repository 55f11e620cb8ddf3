"""The commands of the journal as one process knows them, so that no question about them lists the objects. Pure.

A command's age is the time for which this process has known it: the host's clock may be off by decades, and a young
command must not be taken for an old one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.api.runtimecommands import Phase, RuntimeCommandSpec
from controller.cloud.commands.command import Command
from controller.cloud.commands.seal import Seal


@dataclass
class Known:
    """One command; ``known_since`` is on this process's monotonic clock, in seconds."""

    name: str
    spec: RuntimeCommandSpec
    known_since: float
    outcome: Phase = "Pending"
    answered: bool = False

    @property
    def unfinished(self) -> bool:
        """Answered, with work that goes on."""
        return self.answered and self.outcome == "Pending"


class Register:
    """``commands`` are the objects that were found when the process began."""

    def __init__(self, commands: list[dict[str, Any]], now: float) -> None:
        self._known = {known.name: known for known in (_known(command, now) for command in commands)}
        self._sequence = max((known.spec.sequence for known in self._known.values()), default=0)

    def __len__(self) -> int:
        return len(self._known)

    def next_sequence(self) -> int:
        """Order of arrival: counted, because a clock may jump."""
        self._sequence += 1
        return self._sequence

    def add(self, known: Known) -> None:
        """Remember a command."""
        self._known[known.name] = known

    def learn(self, command: dict[str, Any], now: float) -> Known:
        """What is known of a command that is there; one whose creation seemed to fail is new."""
        found = _known(command, now)
        return self._known.setdefault(found.name, found)

    def answered(self, name: str, outcome: Phase) -> None:
        """Note how a command ended."""
        if known := self._known.get(name):
            known.answered, known.outcome = True, outcome

    def forget(self, name: str) -> None:
        """Forget a command that was removed."""
        self._known.pop(name, None)

    def earlier(self, command: Command, seal: Seal) -> Known | None:
        """What is known of the same command from before."""
        if known := self._known.get(command.name(seal)):
            return known
        return next((known for known in self._known.values() if _is_same(known.spec, command, seal)), None)

    def overtaken_by(self, sequence: int, device: str) -> str:
        """The topic of the last change for a device that came after ``sequence``, or ""."""
        specs = [known.spec for known in self._known.values()]
        later = [spec for spec in specs if spec.sequence > sequence and spec.device_id == device and spec.changes]
        return max(later, key=lambda spec: spec.sequence).topic if later else ""

    def unfinished(self, topic: str) -> list[str]:
        """Names of the commands of a topic whose work goes on after their answer, in order of arrival."""
        found = [known for known in self._known.values() if known.unfinished and known.spec.topic == topic]
        return [known.name for known in sorted(found, key=lambda known: known.spec.sequence)]

    def surplus(self, before: float, most: int) -> list[str]:
        """Names of those known since before then, and of the oldest beyond ``most``, requests before changes.

        One without an answer may be at work, and is not removed for another.
        """
        old = {known.name for known in self._known.values() if known.known_since < before and not known.unfinished}
        rest = [known for name, known in self._known.items() if name not in old]
        done = sorted((known for known in rest if known.outcome != "Pending"), key=_worth)
        return [*old, *(known.name for known in done[: max(0, len(rest) - most)])]


def _is_same(spec: RuntimeCommandSpec, command: Command, seal: Seal) -> bool:
    """Whether a command that was sealed with another key is this one.

    0.1 used no key. After a change of key the payloads cannot be compared, so the rest decides: a request that might
    have been sent before is not sent again.
    """
    message = command.message
    if spec.digest_key == seal.key_id or not message.requested_at:
        return False
    if not spec.digest_key:
        return spec.payload_hash == command.digest
    ours = (command.topic, message.device, str(message.correlation_id), message.requested_at)
    return ours == (spec.topic, spec.device_id, spec.correlation_id, spec.requested_at)


def _known(command: dict[str, Any], now: float) -> Known:
    status = command.get("status") or {}
    spec = RuntimeCommandSpec.model_validate(command["spec"])
    return Known(command["metadata"]["name"], spec, now, status.get("outcome", "Pending"), bool(status.get("answer")))


def _worth(known: Known) -> tuple[bool, int]:
    return known.spec.changes, known.spec.sequence
