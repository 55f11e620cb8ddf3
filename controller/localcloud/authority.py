"""The certificate authority of the local cloud: its CA, the server's certificate, the agents' certificates.

Blocking (files and key generation): call it in a thread. It must never log or print a private key.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controller import certificates, errors, files
from controller.certificates import Pair

CA_FILE = "authority.pem"
SERVER_FILE = "server.pem"
CA_YEARS = 10
SERVER_DAYS = 90  # reissued at every start
AGENT_DAYS = 825
SKEW = timedelta(hours=1)  # an agent's clock may be behind ours

_COMMON_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")  # RFC 5280 appendix A: at most 64 characters


class Authority:
    """The CA stored in ``directory`` (mode 0700), created when missing.

    Raises errors.SettingError when the directory cannot be used or its CA is damaged.
    """

    def __init__(self, directory: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._directory = directory
        self._now = now
        self._ca = self._load_or_create()

    @property
    def ca_pem(self) -> bytes:
        """The CA's own certificate."""
        return self._ca.pem()[0]

    def server(self, hosts: list[str]) -> Path:
        """Issue a server certificate for these names and addresses; return the file with certificate and key."""
        issued = self._issue("edge-controller local cloud", timedelta(days=SERVER_DAYS), hosts)
        path = self._directory / SERVER_FILE
        files.write_secret(path, b"".join(issued.pem()))
        return path

    def enroll(self, common_name: str, out: Path | None = None) -> Path:
        """Issue an agent's certificate; return the folder with client.crt, client.key and ca.crt.

        Raises errors.CommandError for an invalid agent id or an unwritable folder.
        """
        if not _COMMON_NAME.fullmatch(common_name):
            raise errors.CommandError(
                f"{common_name!r} cannot be an agent id: use at most 64 letters, digits, '.', '_', '@' and '-'"
            )
        certificate, key = self._issue(common_name, timedelta(days=AGENT_DAYS), hosts=[]).pem()
        folder = out or self._directory / "agents" / common_name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.write_secret(folder / "client.key", key)
            files.write_secret(folder / "client.crt", certificate)
            files.write_secret(folder / "ca.crt", self.ca_pem)
        except OSError as error:
            raise errors.CommandError(f"{folder} cannot be written: {error.strerror}; choose another --out") from error
        return folder

    def _load_or_create(self) -> Pair:
        path = self._directory / CA_FILE
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                self._create(path)
            pem = path.read_bytes()
            return certificates.read(pem, pem)
        except (OSError, ValueError) as error:
            raise errors.SettingError(f"{path} cannot be used ({error}); remove it to create a new CA") from error

    def _create(self, path: Path) -> None:
        """Create the CA; if two processes do so at once, the first one wins."""
        made = certificates.authority("edge-controller local cloud CA", self._period(timedelta(days=365 * CA_YEARS)))
        temporary = path.with_suffix(f".{secrets.token_hex(4)}")
        files.write_secret(temporary, b"".join(made.pem()))
        with contextlib.suppress(FileExistsError):
            # A hard link, because a rename would replace the CA of the other process.
            path.hardlink_to(temporary)
        temporary.unlink()

    def _issue(self, common_name: str, valid: timedelta, hosts: list[str]) -> Pair:
        names = [certificates.host_name(host) for host in hosts]
        return certificates.issue(self._ca, certificates.subject(common_name), self._period(valid), names)

    def _period(self, valid: timedelta) -> certificates.Period:
        now = self._now()
        return certificates.Period(now - SKEW, now + valid)
