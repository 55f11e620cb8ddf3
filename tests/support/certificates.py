"""Certificates for tests: an authority, servers, agents, and invalid certificates of all kinds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Pair:
    """A certificate (with its chain) and its key, as PEM files; the key has mode 0600."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority that writes what it issues below ``folder``. ``ca`` is its own PEM file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.ca = folder / "ca.crt"
        self._authority = trustme.CA()
        self._issued = 0
        self._authority.cert_pem.write_to_path(self.ca)

    def server(self, *hosts: str) -> Pair:
        """Issue a server certificate for these host names and addresses, by default for loopback."""
        return self._write(self._authority.issue_cert(*(hosts or ("localhost", "127.0.0.1", "::1"))))

    def server_between(self, start: datetime, end: datetime) -> Pair:
        """Issue a server certificate for loopback that is valid from ``start`` to ``end``."""
        return self._write(self._authority.issue_cert("localhost", "127.0.0.1", not_before=start, not_after=end))

    def agent(self, common_name: str) -> Pair:
        """Issue a client certificate with the agent id as CN."""
        return self._write(self._authority.issue_cert(common_name=common_name))

    def expired(self, common_name: str) -> Pair:
        """Issue a client certificate that expired yesterday."""
        now = datetime.now(UTC)
        return self._agent_between(common_name, now - timedelta(days=30), now - timedelta(days=1))

    def not_yet_valid(self, common_name: str) -> Pair:
        """Issue a client certificate that is not valid before tomorrow, as a wrong clock sees one."""
        now = datetime.now(UTC)
        return self._agent_between(common_name, now + timedelta(days=1), now + timedelta(days=30))

    def foreign(self, common_name: str) -> Pair:
        """Issue a client certificate of another authority."""
        return Authority(self.folder / "foreign").agent(common_name)

    def mismatched(self, common_name: str) -> Pair:
        """Issue a certificate with the key of another one."""
        return Pair(self.agent(common_name).certificate, self.agent(common_name).key)

    def _agent_between(self, common_name: str, start: datetime, end: datetime) -> Pair:
        return self._write(self._authority.issue_cert(common_name=common_name, not_before=start, not_after=end))

    def _write(self, issued: trustme.LeafCert) -> Pair:
        self._issued += 1
        pair = Pair(self.folder / f"{self._issued}.crt", self.folder / f"{self._issued}.key")
        pair.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        pair.key.touch(mode=0o600)
        pair.key.write_bytes(issued.private_key_pem.bytes())
        return pair
