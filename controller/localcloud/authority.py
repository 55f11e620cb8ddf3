"""The certificate authority of the local cloud: its CA, the server's certificate, the agents' certificates.

Blocking (files and key generation): call it in a thread. It must never log or print a private key.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller import errors, files

CA_FILE = "authority.pem"
SERVER_FILE = "server.pem"
CA_YEARS = 10
SERVER_DAYS = 90  # reissued at every start
AGENT_DAYS = 825
SKEW = timedelta(hours=1)  # an agent's clock may be behind ours

_COMMON_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")  # RFC 5280 appendix A: at most 64 characters

_CA_KEY_USAGE = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)

PrivateKey = ec.EllipticCurvePrivateKey


class Issued(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key as unencrypted PKCS 8 PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


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
        return self._ca.certificate_pem

    def server(self, hosts: list[str]) -> Path:
        """Issue a server certificate for these names and addresses; return the file with certificate and key."""
        issued = self._issue("edge-controller local cloud", timedelta(days=SERVER_DAYS), hosts)
        path = self._directory / SERVER_FILE
        files.write_secret(path, issued.certificate_pem + issued.key_pem)
        return path

    def enroll(self, common_name: str, out: Path | None = None) -> Path:
        """Issue an agent's certificate; return the folder with client.crt, client.key and ca.crt.

        Raises errors.CommandError for an invalid agent id or an unwritable folder.
        """
        if not _COMMON_NAME.fullmatch(common_name):
            raise errors.CommandError(
                f"{common_name!r} cannot be an agent id: use at most 64 letters, digits, '.', '_', '@' and '-'"
            )
        issued = self._issue(common_name, timedelta(days=AGENT_DAYS), hosts=[])
        folder = out or self._directory / "agents" / common_name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.write_secret(folder / "client.key", issued.key_pem)
            files.write_secret(folder / "client.crt", issued.certificate_pem)
            files.write_secret(folder / "ca.crt", self.ca_pem)
        except OSError as error:
            raise errors.CommandError(f"{folder} cannot be written: {error.strerror}; choose another --out") from error
        return folder

    def _load_or_create(self) -> Issued:
        path = self._directory / CA_FILE
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                self._create(path)
            pem = path.read_bytes()
            key = serialization.load_pem_private_key(pem, password=None)
            certificate = x509.load_pem_x509_certificate(pem)
        except (OSError, ValueError) as error:
            raise errors.SettingError(f"{path} cannot be used ({error}); remove it to create a new CA") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise errors.SettingError(f"{path} contains a key of another type; remove it to create a new CA")
        return Issued(certificate, key)

    def _create(self, path: Path) -> None:
        """Create the CA; if two processes do so at once, the first one wins."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("edge-controller local cloud CA")
        builder = (
            self._builder(name, name, key, timedelta(days=365 * CA_YEARS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_CA_KEY_USAGE, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        issued = Issued(builder.sign(key, hashes.SHA256()), key)
        temporary = path.with_suffix(f".{secrets.token_hex(4)}")
        files.write_secret(temporary, issued.certificate_pem + issued.key_pem)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
        temporary.unlink()

    def _issue(self, common_name: str, valid: timedelta, hosts: list[str]) -> Issued:
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        key = ec.generate_private_key(ec.SECP256R1())
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca.key.public_key())
        builder = (
            self._builder(_name(common_name), self._ca.certificate.subject, key, valid)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(authority, critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_host, hosts))), critical=False)
        return Issued(builder.sign(self._ca.key, hashes.SHA256()), key)

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: PrivateKey, valid: timedelta
    ) -> x509.CertificateBuilder:
        now = self._now()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SKEW)
            .not_valid_after(now + valid)
        )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
