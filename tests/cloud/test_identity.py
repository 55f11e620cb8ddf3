"""The agent's identity: the CN of a usable certificate, or an error with the remedy."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controller.cloud.identity import Identity
from controller.errors import IdentityError
from tests.support.certificates import Authority, Pair

Spoil = Callable[[Authority], Pair]


def _missing_certificate(authority: Authority) -> Pair:
    return Pair(authority.folder / "nowhere.crt", authority.agent("a").key)


def _missing_key(authority: Authority) -> Pair:
    return Pair(authority.agent("a").certificate, authority.folder / "nowhere.key")


def _folder_as_certificate(authority: Authority) -> Pair:
    return Pair(authority.folder, authority.agent("a").key)


def _text_as_certificate(authority: Authority) -> Pair:
    pair = authority.agent("a")
    pair.certificate.write_text("power cut while this was written")
    return pair


def _truncated_key(authority: Authority) -> Pair:
    pair = authority.agent("a")
    pair.key.write_bytes(pair.key.read_bytes()[:60])
    return pair


def _key_with_passphrase(authority: Authority) -> Pair:
    pair = authority.agent("a")
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return pair


def _without_common_name(authority: Authority) -> Pair:
    pair = Pair(authority.folder / "nameless.crt", authority.folder / "nameless.key")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pair


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_missing_certificate, r"nowhere.crt is missing: install it or set EDGE_CLIENT_CERT"),
        (_missing_key, r"nowhere.key is missing: install it or set EDGE_CLIENT_KEY"),
        (_folder_as_certificate, r"cannot be read \(Is a directory\)"),
        (_text_as_certificate, r"\.crt is not a PEM certificate"),
        (_truncated_key, r"\.key is damaged or has a passphrase"),
        (_key_with_passphrase, r"\.key is damaged or has a passphrase"),
        (_without_common_name, r"nameless.crt has no CN"),
        (lambda authority: authority.mismatched("a"), r"does not belong to certificate"),
        (lambda authority: authority.expired("a"), r"expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC: replace it"),
        (lambda authority: authority.not_yet_valid("a"), r"is not valid before .* clock is probably wrong"),
    ],
)
def test_unusable_files_are_reported_with_the_remedy(certificates: Authority, spoil: Spoil, sentence: str) -> None:
    pair = spoil(certificates)
    with pytest.raises(IdentityError, match=sentence):
        Identity.load(pair.certificate, pair.key, certificates.ca)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "CA bundle .* is missing"), ("no certificate", "CA bundle .* contains no PEM certificate")],
)
def test_an_unusable_ca_bundle_is_reported(
    certificates: Authority, tmp_path: Path, content: str | None, sentence: str
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    pair = certificates.agent("a")
    with pytest.raises(IdentityError, match=sentence):
        Identity.load(pair.certificate, pair.key, bundle)


def test_the_agent_id_is_the_common_name_and_connections_verify_the_cloud(certificates: Authority) -> None:
    pair = certificates.agent("07048933")
    identity = Identity.load(pair.certificate, pair.key, certificates.ca)
    assert identity.agent_id == "07048933"
    assert identity.not_after > datetime.now(UTC)
    assert identity.context.verify_mode is ssl.CERT_REQUIRED
    assert identity.context.check_hostname
    assert identity.context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_validity_is_checked_by_the_given_clock(certificates: Authority) -> None:
    pair = certificates.expired("a")
    Identity.load(pair.certificate, pair.key, certificates.ca, clock=lambda: time.time() - 2 * 86400)


def test_without_a_bundle_the_systems_cas_are_trusted(certificates: Authority) -> None:
    pair = certificates.agent("a")
    assert Identity.load(pair.certificate, pair.key).context.verify_mode is ssl.CERT_REQUIRED
