"""The files of the embedded API's PKI as the running server uses them; pki.py creates and renews them. Blocking."""

from __future__ import annotations

import secrets
import ssl
from pathlib import Path
from typing import NamedTuple

from controller import files
from controller.apiserver.access.identities import AUTHENTICATED, CONTROLLER, MASTERS, Identity

# Users with stored credentials, and their group.
USERS = {"admin": MASTERS, CONTROLLER: ""}


class Credentials(NamedTuple):
    """The credentials of a client."""

    ca: Path
    certificate: Path
    key: Path
    token: str


class CredentialFiles:
    """The files in one directory: ``NAME.crt`` and ``NAME.key`` of CA, server and users, and the users' tokens."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def make_directory(self) -> None:
        """Create the directory if it is missing."""
        for folder in (self._directory.parent, self._directory):  # mkdir applies the mode to the last one only
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def ensure_tokens(self) -> None:
        """Create the tokens that are missing."""
        for user in USERS:
            token = self.path(user, "token")
            # A power cut may leave the file empty, and an empty token would admit everybody.
            if not token.exists() or not token.read_bytes():
                files.write_secret(token, secrets.token_urlsafe(32).encode())

    def ca(self) -> str:
        """The CA certificate, as PEM."""
        return self.path("ca", "crt").read_text()

    def credentials(self, user: str) -> Credentials:
        """The files and the token of a user."""
        token = (self._directory / f"{user}.token").read_text()
        return Credentials(self.path("ca", "crt"), self.path(user, "crt"), self.path(user, "key"), token)

    def tokens(self) -> dict[str, Identity]:
        """User and groups by token."""
        return {
            self.credentials(user).token: Identity(user, (*([group] if group else ()), AUTHENTICATED))
            for user, group in USERS.items()
        }

    def server_context(self) -> ssl.SSLContext:
        """The TLS context of the server; client certificates are optional, since a token suffices."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.path("ca", "crt")))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_OPTIONAL
        self.load(context)
        return context

    def load(self, context: ssl.SSLContext) -> None:
        """Load the current certificates into the context; open connections keep theirs."""
        context.load_verify_locations(str(self.path("ca", "crt")))
        context.load_cert_chain(str(self.path("server", "crt")), str(self.path("server", "key")))

    def path(self, name: str, kind: str) -> Path:
        """The path of a file."""
        return self._directory / f"{name}.{kind}"
