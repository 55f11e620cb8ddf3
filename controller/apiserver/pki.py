"""Who may talk to the embedded API: its CA, server certificate, client certificates and bearer tokens.

Made at first start, renewed before they end; every file has mode 0600. Blocking.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import ssl
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller import files
from controller.apiserver.authorization import AUTHENTICATED, CONTROLLER, MASTERS, Identity

CA_DAYS = 3650
LEAF_DAYS = 365
RENEW_DAYS = 60
# Users with credentials of their own from the first start, and their group.
USERS = {"admin": MASTERS, CONTROLLER: ""}


class Credentials(NamedTuple):
    """What a client needs."""

    ca: Path
    certificate: Path
    key: Path
    token: str


class Pki:
    """The files in one directory, for a server that is reached at ``host``."""

    def __init__(self, directory: Path, host: str) -> None:
        self._directory = directory
        names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName("kubernetes.default.svc")]
        self._names = names + [
            x509.IPAddress(ipaddress.ip_address(address)) for address in sorted({"127.0.0.1", "::1", _address(host)})
        ]

    def ensure(self, now: float) -> bool:
        """Make what is missing, damaged, for another address, or about to end; whether anything was made."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._now = datetime.datetime.fromtimestamp(now, datetime.UTC)
        stale = [name for name in ("ca", "server", *USERS) if self._is_stale(name)]
        if "ca" in stale:
            stale = ["ca", "server", *USERS]
            self._make_ca()
        if "server" in stale:
            self._issue("server", "edge-api", None, self._names)
        for user in (name for name in USERS if name in stale):
            self._issue(user, user, USERS[user], [])
        for user in USERS:
            token = self._path(user, "token")
            if not token.exists() or not token.read_bytes():
                files.write_secret(token, secrets.token_urlsafe(32).encode())
        return bool(stale)

    def ca(self) -> str:
        """The certificate of the authority, as PEM."""
        return self._path("ca", "crt").read_text()

    def credentials(self, user: str) -> Credentials:
        """The files and the token of a user."""
        token = (self._directory / f"{user}.token").read_text()
        return Credentials(self._path("ca", "crt"), self._path(user, "crt"), self._path(user, "key"), token)

    def tokens(self) -> dict[str, Identity]:
        """User and groups by token."""
        return {
            self.credentials(user).token: Identity(user, (*([group] if group else ()), AUTHENTICATED))
            for user, group in USERS.items()
        }

    def server_context(self) -> ssl.SSLContext:
        """TLS for the server; client certificates are welcome, not required: a token will do."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self._path("ca", "crt")))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_OPTIONAL
        self.load(context)
        return context

    def load(self, context: ssl.SSLContext) -> None:
        """Give the context the certificates as they are now; open connections keep theirs."""
        context.load_verify_locations(str(self._path("ca", "crt")))
        context.load_cert_chain(str(self._path("server", "crt")), str(self._path("server", "key")))

    def _path(self, name: str, kind: str) -> Path:
        return self._directory / f"{name}.{kind}"

    def _is_stale(self, name: str) -> bool:
        try:
            certificate = x509.load_pem_x509_certificate(self._path(name, "crt").read_bytes())
            if certificate.public_key() != _key(self._path(name, "key")).public_key():
                return True  # a power cut came between the two files
            certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(self._path("ca", "crt").read_bytes()))
        except (OSError, ValueError, TypeError, InvalidSignature):
            return True
        left = certificate.not_valid_after_utc - self._now
        return left < datetime.timedelta(days=RENEW_DAYS) or (name == "server" and self._is_elsewhere(certificate))

    def _is_elsewhere(self, certificate: x509.Certificate) -> bool:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return set(found) != set(self._names)

    def _make_ca(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("edge-controller-ca", None)
        builder = self._builder(name, name, key.public_key(), CA_DAYS).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self._store("ca", key, builder.sign(key, hashes.SHA256()))

    def _issue(self, file: str, common_name: str, group: str | None, sans: list[x509.GeneralName]) -> None:
        ca_key = _key(self._path("ca", "key"))
        ca = x509.load_pem_x509_certificate(self._path("ca", "crt").read_bytes())
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if sans else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(_name(common_name, group), ca.subject, key.public_key(), LEAF_DAYS)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        self._store(file, key, builder.sign(ca_key, hashes.SHA256()))

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - datetime.timedelta(hours=1))
            .not_valid_after(self._now + datetime.timedelta(days=days))
        )

    def _store(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files.write_secret(self._path(name, "key"), pem)
        files.write_secret(self._path(name, "crt"), certificate.public_bytes(serialization.Encoding.PEM))


def _name(common_name: str, group: str | None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _address(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return "127.0.0.1"


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} is not a key that we made")
    return key
