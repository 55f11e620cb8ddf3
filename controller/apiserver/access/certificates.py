"""Issue and verify certificates of the API's own CA. Uses no files and no clock; pki.py stores the certificates.

Every certificate is valid from 1970 on: a host without a battery-backed clock starts there and must accept its users.
The CA is renewed with its existing key, so the certificates it issued and the clients that trust its former certificate
remain valid.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller import RELEASED

BEGIN = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
AUTHORITY_NAME = "edge-controller-ca"


class Pair(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> tuple[bytes, bytes]:
        """Both as PEM."""
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        key = self.key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
        return self.certificate.public_bytes(serialization.Encoding.PEM), key

    def issued_by(self, authority: Pair) -> bool:
        """Whether the authority signed it, under its current or a former certificate."""
        try:
            self.certificate.verify_directly_issued_by(authority.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def read(certificate: bytes, key: bytes) -> Pair:
    """Load a pair from PEM. Raises ValueError if one is damaged or they do not match."""
    found = x509.load_pem_x509_certificate(certificate)
    private = serialization.load_pem_private_key(key, None)
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != found.public_key():
        raise ValueError("the key does not belong to the certificate")
    return Pair(found, private)


def now(clock: float) -> datetime.datetime:
    """The time for issuing certificates, from seconds since the epoch.

    At least our release date: an earlier clock is wrong, and certificates must still be valid once it is corrected.
    """
    return max(RELEASED, datetime.datetime.fromtimestamp(clock, datetime.UTC))


def authority(end: datetime.datetime, key: ec.EllipticCurvePrivateKey | None = None) -> Pair:
    """Issue a CA valid until ``end``, new or renewed with its key."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = subject(AUTHORITY_NAME)
    builder = _builder(name, name, key.public_key(), end)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue(issuer: Pair, who: x509.Name, end: datetime.datetime, names: Sequence[x509.GeneralName] = ()) -> Pair:
    """Issue a server certificate for these names, or a client certificate if there are none."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = _builder(who, issuer.certificate.subject, key.public_key(), end)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = builder.add_extension(key_id, critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Pair(builder.sign(issuer.key, hashes.SHA256()), key)


def subject(common_name: str, group: str = "") -> x509.Name:
    """The subject of a user as in Kubernetes: the group is the organization."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def names_of(certificate: x509.Certificate) -> set[x509.GeneralName]:
    """The subject alternative names of a server certificate."""
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _builder(
    who: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, end: datetime.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(who).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(BEGIN).not_valid_after(end)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
