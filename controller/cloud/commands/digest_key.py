"""Keyed digests, so that a reader of a stored digest cannot guess the password behind it.

The key is derived from the client's private key: every process that may become leader has it, but no database, backup
or API client does; see docs/decisions/137-request-contents.md. No I/O except reading that file.
"""

from __future__ import annotations

import hmac
from pathlib import Path

from controller import errors

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
