"""One command as it came, and what makes it the same command as another. Pure."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any, NamedTuple

from controller.cloud.commands.seal import Seal
from controller.cloud.contracts.base import Message


class Command(NamedTuple):
    """``changes`` is whether it changes what is desired, else it is passed on to the runtime.

    ``digest`` and ``identity`` are plain hashes of what may be secret: they never leave this process.
    """

    topic: str
    message: Message
    digest: str
    identity: str
    changes: bool

    @classmethod
    def of(cls, topic: str, payload: dict[str, Any], message: Message, *, changes: bool) -> Command:
        """``payload`` is the whole object as received: it makes the identity.

        Without requested_at two equal messages may be two commands, so nothing counts as redelivered.
        """
        canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(f"{topic}\n{canonical}".encode()).hexdigest()
        unique = digest if message.requested_at else uuid.uuid4().hex
        return cls(topic, message, digest, f"{_prefix(topic)}-{unique[:20]}", changes)

    def name(self, seal: Seal) -> str:
        """The name of its RuntimeCommand."""
        return f"{_prefix(self.topic)}-{seal.of(self.identity)[:20]}"


def _prefix(topic: str) -> str:
    return topic.replace("_", "-")
