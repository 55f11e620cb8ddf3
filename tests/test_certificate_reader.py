"""The facts of certificates agree with those of the library that issues them; damage raises ValueError only."""

from __future__ import annotations

import base64
import contextlib
import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from controller import certificate_reader

UTC = datetime.UTC
KEY = ec.generate_private_key(ec.SECP256R1())


def issue(
    *attributes: x509.NameAttribute[Any],
    begin: datetime.datetime = datetime.datetime(2020, 1, 1, tzinfo=UTC),
    end: datetime.datetime = datetime.datetime(2030, 6, 5, 4, 3, 2, tzinfo=UTC),
) -> bytes:
    """A self-signed certificate as PEM."""
    name = x509.Name(attributes)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key())
    builder = builder.serial_number(1).not_valid_before(begin).not_valid_after(end)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def common(value: str, kind: _ASN1Type | None = None) -> x509.NameAttribute[Any]:
    """A common name."""
    return x509.NameAttribute(NameOID.COMMON_NAME, value, kind)


@pytest.mark.parametrize("kind", [_ASN1Type.UTF8String, _ASN1Type.PrintableString, _ASN1Type.IA5String])
def test_a_common_name_is_read_in_each_type_of_string(kind: _ASN1Type) -> None:
    assert certificate_reader.read(issue(common("07048933", kind))).common_names == ("07048933",)


def test_a_name_in_any_language_is_read_among_other_attributes() -> None:
    pem = issue(x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Werk"), common("Grüße"), common("second"))
    assert certificate_reader.read(pem).common_names == ("Grüße", "second")


def test_a_subject_without_a_common_name_has_none() -> None:
    assert certificate_reader.read(issue()).common_names == ()


@pytest.mark.parametrize(
    ("begin", "end"),
    [((1970, 1, 1), (2049, 12, 31)), ((1950, 1, 1), (2050, 1, 1)), ((1999, 2, 3), (9999, 12, 31))],
)
def test_the_validity_is_read_in_both_types_of_time(begin: tuple[int, int, int], end: tuple[int, int, int]) -> None:
    period = datetime.datetime(*begin, 5, 6, 7, tzinfo=UTC), datetime.datetime(*end, 5, 6, 7, tzinfo=UTC)
    found = certificate_reader.read(issue(common("a"), begin=period[0], end=period[1]))
    assert (found.not_before, found.not_after) == period


def test_text_around_the_certificate_and_a_chain_after_it_are_ignored() -> None:
    pem = b"subject=/CN=first\n" + issue(common("first")).replace(b"\n", b"\r\n") + issue(common("second"))
    assert certificate_reader.read(pem).common_names == ("first",)


DER: bytes = x509.load_pem_x509_certificate(issue(common("07048933"))).public_bytes(serialization.Encoding.DER)


def pem_of(der: bytes) -> bytes:
    """PEM of any bytes."""
    return b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(der) + b"\n-----END CERTIFICATE-----\n"


@given(st.binary(max_size=200) | st.integers(0, 10_000).map(lambda length: DER[:length]))
def test_anything_else_is_refused(der: bytes) -> None:
    if der != DER:
        with pytest.raises(ValueError, match=r"."):
            certificate_reader.read(pem_of(der))


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_raises_nothing_else(position: int, value: int) -> None:
    changed = bytearray(DER)
    changed[position % len(DER)] = value
    with contextlib.suppress(ValueError):
        certificate_reader.read(pem_of(bytes(changed)))
