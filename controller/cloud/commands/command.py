"""One received command and its identity, which detects redeliveries. Pure."""

from __future__ import annotations

import hashlib
import json
import uuid
from enum import Enum
from typing import Any, NamedTuple

from controller.cloud.commands.digest_key import DigestKey
from controller.cloud.contracts.base import Message


class Semantics(Enum):
    """How a topic is executed."""

    QUERY = "query"  # answered at once, not journaled
    IDEMPOTENT = "idempotent"  # executed again if its outcome is unknown
    SUPERSEDING = "superseding"  # idempotent, and interrupts the waits of earlier commands
    AT_MOST_ONCE = "at most once"  # never executed again


class Command(NamedTuple):
    """``digest`` and ``identity`` are unkeyed hashes of a payload that may hold secrets: both stay in this process."""

    topic: str
    message: Message
    digest: str
    identity: str
    semantics: Semantics

    @classmethod
    def of(cls, topic: str, payload: dict[str, Any], message: Message, semantics: Semantics) -> Command:
        """Build the command. The identity is derived from ``payload``, the whole object as received.

        Without requested_at two equal messages may be two commands, so each gets an identity of its own.
        """
        canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(f"{topic}\n{canonical}".encode()).hexdigest()
        unique = digest if message.requested_at else uuid.uuid4().hex
        return cls(topic, message, digest, f"{_prefix(topic)}-{unique[:20]}", semantics)

    @property
    def changes(self) -> bool:
        """Whether the command changes a spec; otherwise it is forwarded to the runtime."""
        return self.semantics is not Semantics.AT_MOST_ONCE

    def name(self, key: DigestKey) -> str:
        """The name of its RuntimeCommand."""
        return f"{_prefix(self.topic)}-{key.of(self.identity)[:20]}"


def _prefix(topic: str) -> str:
    return topic.replace("_", "-")
