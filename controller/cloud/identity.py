"""The agent's identity: the CN of its client certificate, and the TLS context of certificate and key.

Blocking: call it from a thread. Each call reads the files again, because certificates are replaced while the
controller runs. The key is never logged or kept.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from controller import certificate_reader
from controller.certificate_reader import CertificateFacts
from controller.errors import IdentityError


@dataclass(frozen=True)
class Identity:
    """A valid certificate: the agent id, its expiry (UTC), and the TLS context for connections."""

    agent_id: str
    not_after: datetime
    context: ssl.SSLContext

    @classmethod
    def load(
        cls, certificate: Path, key: Path, ca: Path | None = None, clock: Callable[[], float] = time.time
    ) -> Identity:
        """Read the files. ``ca`` is the bundle to verify the cloud's certificate with (default: the system's).

        Raises IdentityError that names the file and the remedy.
        """
        parsed = _parse(certificate)
        agent_id = _common_name(parsed, certificate)
        # The cloud's TLS alert would name neither the file nor the clock of this host.
        _check_validity(parsed, certificate, datetime.fromtimestamp(clock(), UTC))
        return cls(agent_id, parsed.not_after, _context(certificate, key, ca))


def agent_id(certificate: Path) -> str:
    """The CN of a certificate, even if it has expired. Raises IdentityError."""
    return _common_name(_parse(certificate), certificate)


def _parse(path: Path) -> CertificateFacts:
    try:
        return certificate_reader.read(_read(path, "client certificate", "EDGE_CLIENT_CERT"))
    except ValueError as error:
        raise IdentityError(
            f"client certificate {path} is not a PEM certificate: replace it with the one that the cloud issued"
        ) from error


def _common_name(certificate: CertificateFacts, path: Path) -> str:
    for common_name in certificate.common_names:
        if name := common_name.strip():
            return name
    raise IdentityError(
        f"client certificate {path} has no CN, so this agent has no id: replace it with the one that the cloud issued"
    )


def _check_validity(certificate: CertificateFacts, path: Path, now: datetime) -> None:
    start, end = certificate.not_before, certificate.not_after
    if now > end:
        raise IdentityError(
            f"client certificate {path} expired on {end:%Y-%m-%d %H:%M} UTC: replace it, "
            "or set this host's clock if that date is in the future"
        )
    if now < start:
        raise IdentityError(
            f"client certificate {path} is not valid before {start:%Y-%m-%d %H:%M} UTC: "
            "this host's clock is probably wrong, set it"
        )


def _context(certificate: Path, key: Path, ca: Path | None) -> ssl.SSLContext:
    context = _verifying(ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Only for its errors: load_cert_chain does not say which of the two files is missing or unreadable.
    _read(key, "client key", "EDGE_CLIENT_KEY")
    try:
        # Without a password function OpenSSL would prompt for a passphrase on the terminal and block.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            message = f"client key {key} does not belong to certificate {certificate}: install a matching pair"
        else:
            message = f"client key {key} is damaged or has a passphrase: install a PEM key without a passphrase"
        raise IdentityError(message) from error
    return context


def _verifying(ca: Path | None) -> ssl.SSLContext:
    """A context that verifies the server's certificate and host name."""
    if ca is None:
        return ssl.create_default_context()
    try:
        # cadata must be ASCII, and bundles contain comments in any encoding; the certificates themselves are base64.
        text = _read(ca, "CA bundle", "EDGE_CLOUD_CA").decode("ascii", errors="replace")
        return ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise IdentityError(f"CA bundle {ca} contains no PEM certificate: replace it or unset EDGE_CLOUD_CA") from error


def _read(path: Path, what: str, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise IdentityError(f"{what} {path} is missing: install it or set {setting}") from None
    except OSError as error:
        raise IdentityError(
            f"{what} {path} cannot be read ({error.strerror}): make it readable for this process"
        ) from error
