"""Issue, read and verify X.509 certificates with P-256 keys (RFC 5280). Uses no files and no clock."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# A certificate that is valid from then on is accepted by a host without a battery-backed clock, which starts there.
BEGIN = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class Period(NamedTuple):
    """When a certificate is valid."""

    begin: datetime.datetime
    end: datetime.datetime


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


def authority(
    name: str,
    valid: Period,
    key: ec.EllipticCurvePrivateKey | None = None,
    names: Sequence[x509.GeneralName] = (),
) -> Pair:
    """Issue a CA, new or renewed with its key. With ``names`` it is also the certificate of a server."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = _builder(subject(name), subject(name), key.public_key(), valid, names)
    # It may issue certificates, but no further CA (RFC 5280, 4.2.1.9).
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue(issuer: Pair, who: x509.Name, valid: Period, names: Sequence[x509.GeneralName] = ()) -> Pair:
    """Issue a server certificate for these names, or a client certificate if there are none."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = _builder(who, issuer.certificate.subject, key.public_key(), valid, names)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    # Required by RFC 5280, 4.2.1.1; strict verifiers, such as Python 3.13 by default, reject a certificate without it.
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = builder.add_extension(key_id, critical=False)
    return Pair(builder.sign(issuer.key, hashes.SHA256()), key)


def subject(common_name: str, group: str = "") -> x509.Name:
    """The subject of a user as in Kubernetes: the group is the organization."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def host_name(host: str) -> x509.GeneralName:
    """The subject alternative name of a host name or address."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def names_of(certificate: x509.Certificate) -> set[x509.GeneralName]:
    """The subject alternative names of a server certificate."""
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _builder(
    who: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    valid: Period,
    names: Sequence[x509.GeneralName],
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(who).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(valid.begin).not_valid_after(valid.end)
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        # An ECDSA key only signs; key_encipherment is for the key transport of RSA.
        digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
