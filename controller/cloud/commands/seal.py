"""Digests that only this installation can make, so that whoever reads one cannot find a password by trying.

The key is derived from the client's private key: every process that may lead has it, and no database, backup or
reader of the API does; see docs/decisions/137-what-is-kept-of-a-request.md. No I/O but reading that file.
"""

from __future__ import annotations

import hmac
from pathlib import Path

from controller import errors

_PURPOSE = b"getedge.me: digests of RuntimeCommands"


class Seal:
    """HMAC-SHA256 (RFC 2104) with a key derived from ``secret``; ``key_id`` tells keys apart and nothing about them."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, "sha256")
        self.key_id = self.of("key id")[:16]

    @classmethod
    def load(cls, path: Path) -> Seal:
        """Derive it from a file. Blocking. Raises errors.CommandError when the file cannot be read."""
        try:
            secret = path.read_bytes()
        except OSError as error:
            raise errors.CommandError(
                f"the command cannot be recorded, since {path} cannot be read ({error.strerror}): restore the file"
            ) from error
        return cls(secret)

    def of(self, text: str) -> str:
        """The digest of a text, as 64 hexadecimal digits."""
        return hmac.digest(self._key, text.encode(), "sha256").hex()
