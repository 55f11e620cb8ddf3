"""One received command, and the identity and keyed digests that detect its redeliveries.

A reader of a stored digest cannot guess the password behind it: the key is derived from the client's private key, which
every process that may become leader has, but no database, backup or API client
(docs/decisions/137-request-contents.md).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from controller import errors
from controller.cloud.contracts.base import Message

# Makes the derived key differ from any other key that is derived from the same private key.
_PURPOSE = b"getedge.me: digests of RuntimeCommands"


class DigestKey:
    """HMAC-SHA256 (RFC 2104) with a key derived from ``secret``; ``id`` identifies the key without revealing it."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, "sha256")
        self.id = self.of("key id")[:16]

    @classmethod
    def load(cls, path: Path) -> DigestKey:
        """Derive the key from a file. Blocking. Raises errors.CommandError if the file cannot be read."""
        try:
            secret = path.read_bytes()
        except OSError as error:
            raise errors.CommandError(
                f"the command cannot be recorded because {path} cannot be read ({error.strerror}): restore the file"
            ) from error
        return cls(secret)

    def of(self, text: str) -> str:
        """The digest of a text as 64 hexadecimal digits."""
        return hmac.digest(self._key, text.encode(), "sha256").hex()


class Semantics(Enum):
    """How a topic is executed."""

    QUERY = "query"  # answered at once, not journaled
    ATOMIC = "atomic"  # idempotent, and recorded together with its first change
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
        # A redelivery may have its keys in another order.
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
