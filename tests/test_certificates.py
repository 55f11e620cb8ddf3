"""Certificates: what each is good for, and which authority issued it."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller import certificates
from controller.certificates import BEGIN, Pair, Period

VALID = Period(BEGIN, datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC))
NAMES = [certificates.host_name(host) for host in ("localhost", "127.0.0.1", "::1")]


@pytest.fixture(scope="module")
def authority() -> Pair:
    """A CA."""
    return certificates.authority("ca", VALID)


def usages(pair: Pair) -> list[x509.ObjectIdentifier]:
    """What a certificate may be used for."""
    return list(pair.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_certificate_with_names_is_for_a_server_and_one_without_for_a_client(authority: Pair) -> None:
    server = certificates.issue(authority, certificates.subject("server"), VALID, NAMES)
    client = certificates.issue(authority, certificates.subject("client", "group"), VALID)
    assert usages(server) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert usages(client) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificates.names_of(server.certificate) == set(NAMES)
    assert certificates.names_of(client.certificate) == set()
    assert client.certificate.subject.rfc4514_string() == "CN=client,O=group"


def test_a_renewed_authority_vouches_for_what_it_issued(authority: Pair) -> None:
    issued = certificates.issue(authority, certificates.subject("client"), VALID)
    renewed = certificates.authority("ca", Period(BEGIN, VALID.end.replace(year=2200)), authority.key)
    assert issued.issued_by(authority)
    assert issued.issued_by(renewed)
    assert not issued.issued_by(certificates.authority("ca", VALID))


def test_an_authority_with_names_is_its_own_server(tmp_path: Path) -> None:
    own = certificates.authority("node", VALID, names=NAMES)
    certificate, key = own.pem()
    (tmp_path / "pair.pem").write_bytes(key + certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "pair.pem")
    client = ssl.create_default_context(cadata=certificate.decode())
    assert handshake(server, client, "localhost") == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client, "another")


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> str | None:
    """Connect a client to a server in memory; returns the protocol."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting = list(ends)
    while waiting:
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    return ends[0].version()


def test_a_pair_is_read_back_only_if_it_belongs_together(authority: Pair) -> None:
    certificate, key = authority.pem()
    assert certificates.read(certificate, key).certificate == authority.certificate
    other = certificates.issue(authority, certificates.subject("other"), VALID).pem()[1]
    for damaged in ((certificate, other), (b"", key), (certificate, b"")):
        with pytest.raises(ValueError, match=r"key|PEM"):
            certificates.read(*damaged)
