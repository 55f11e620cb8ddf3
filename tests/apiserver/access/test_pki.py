"""Certificates and tokens: created once, repaired after a power cut, renewed before they expire."""

from __future__ import annotations

import datetime
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from controller import certificates
from controller.apiserver.access.pki import AUTHORITY_DAYS, LEAF_DAYS, RENEW_AUTHORITY_DAYS, RENEW_DAYS, Pki, time_of
from controller.certificates import BEGIN, Period

NOW = 1_800_000_000.0
DAY = 86_400.0


def certificate(directory: Path, name: str) -> x509.Certificate:
    """Read a certificate from disk."""
    return x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())


def is_usable(directory: Path, now: float = NOW) -> bool:
    """Whether the server and its users can use the files."""
    pki = Pki(directory)
    pki.server_context()
    ca = certificate(directory, "ca")
    for name in ("server", "admin", "controller"):
        certificate(directory, name).verify_directly_issued_by(ca)
        assert certificate(directory, name).not_valid_after_utc < ca.not_valid_after_utc
    return len(pki.tokens()) == 2 and not changes(pki, now)


def changes(pki: Pki, now: float = NOW) -> bool:
    """Ensure the files, and return whether that created or replaced any."""
    before = contents(pki.path("ca", "crt").parent)
    pki.ensure(now)
    return contents(pki.path("ca", "crt").parent) != before


def contents(directory: Path) -> dict[Path, bytes]:
    """All files of a directory."""
    return {path: path.read_bytes() for path in directory.iterdir()}


def test_files_are_created_once_and_readable_by_the_owner_only(tmp_path: Path) -> None:
    assert changes(Pki(tmp_path))
    assert not changes(Pki(tmp_path))
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "damage",
    [
        lambda directory: (directory / "server.crt").write_bytes(b""),
        lambda directory: (directory / "server.key").write_bytes(b"\0" * 200),
        lambda directory: (directory / "admin.key").write_bytes((directory / "server.key").read_bytes()),
        lambda directory: (directory / "ca.key").unlink(),
        lambda directory: (directory / "controller.token").write_bytes(b""),
    ],
    ids=["empty certificate", "torn key", "key of another", "no key of the CA", "empty token"],
)
def test_files_damaged_by_a_power_cut_are_recreated(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    Pki(tmp_path).ensure(NOW)
    damage(tmp_path)
    Pki(tmp_path).ensure(NOW)
    assert is_usable(tmp_path)


def test_a_replaced_ca_is_logged_with_a_remedy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Pki(tmp_path).ensure(NOW)
    assert caplog.text == ""
    (tmp_path / "ca.key").write_bytes(b"")
    Pki(tmp_path).ensure(NOW)
    Pki(tmp_path).ensure(NOW)
    (logged,) = [record.getMessage() for record in caplog.records]
    assert "edge-controller kubeconfig" in logged


def test_certificates_are_renewed_before_they_expire_and_tokens_are_kept(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.ensure(NOW)
    tokens, ca, first = pki.tokens(), certificate(tmp_path, "ca"), certificate(tmp_path, "admin")
    assert not changes(pki, NOW + (LEAF_DAYS - RENEW_DAYS - 1) * DAY)
    assert changes(pki, NOW + (LEAF_DAYS - RENEW_DAYS + 1) * DAY)
    assert certificate(tmp_path, "admin").not_valid_after_utc - first.not_valid_after_utc > datetime.timedelta(days=300)
    assert (pki.tokens(), certificate(tmp_path, "ca")) == (tokens, ca)


def test_a_new_address_leads_to_a_new_server_certificate(tmp_path: Path) -> None:
    Pki(tmp_path).ensure(NOW)
    assert changes(Pki(tmp_path, lambda: ["127.0.0.2", "edge-7"]))
    names = certificate(tmp_path, "server").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "127.0.0.2" in [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    assert "edge-7" in names.get_values_for_type(x509.DNSName)
    assert not changes(Pki(tmp_path)), "a removed address does not require a new certificate"


def test_the_ca_is_renewed_with_its_own_key_so_that_issued_certificates_stay_valid(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.ensure(NOW)
    first, issued = (
        certificate(tmp_path, "ca"),
        x509.load_pem_x509_certificate(pki.issue_client("viewer", DAY, NOW)[0]),
    )
    late = NOW + (AUTHORITY_DAYS - RENEW_AUTHORITY_DAYS + 1) * DAY
    pki.ensure(late - 2 * DAY)
    assert certificate(tmp_path, "ca") == first
    assert changes(pki, late)
    renewed = certificate(tmp_path, "ca")
    assert renewed.not_valid_after_utc - first.not_valid_after_utc > datetime.timedelta(days=3000)
    issued.verify_directly_issued_by(renewed)
    certificate(tmp_path, "server").verify_directly_issued_by(first)
    assert is_usable(tmp_path, late)


@pytest.mark.parametrize(
    "clocks",
    [
        (0.0, NOW),  # first start of a host without a battery-backed clock, before time synchronization
        (NOW, 0.0, NOW),  # the battery died
        (NOW, NOW + 70 * 365 * DAY, NOW),  # somebody set the wrong century
    ],
    ids=["1970 first", "back to 1970", "the wrong century"],
)
def test_clock_jumps_lock_out_no_user(tmp_path: Path, clocks: tuple[float, ...]) -> None:
    pki = Pki(tmp_path)
    pki.ensure(clocks[0])
    tokens, key = pki.tokens(), (tmp_path / "ca.key").read_bytes()
    for clock in clocks:
        pki.ensure(clock)
        time = datetime.datetime.fromtimestamp(clock, datetime.UTC)
        for name in ("ca", "server", "admin", "controller"):
            found = certificate(tmp_path, name)
            assert found.not_valid_before_utc <= time < found.not_valid_after_utc
    assert (pki.tokens(), (tmp_path / "ca.key").read_bytes()) == (tokens, key)


def test_a_client_certificate_is_issued_for_the_requested_time_and_not_stored(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.ensure(NOW)
    before = set(tmp_path.iterdir())
    found = certificates.read(*pki.issue_client("viewer", 3600, NOW))
    assert found.certificate.subject.rfc4514_string() == "CN=viewer"
    assert found.certificate.not_valid_after_utc.timestamp() == NOW + 3600
    found.certificate.verify_directly_issued_by(certificate(tmp_path, "ca"))
    assert set(tmp_path.iterdir()) == before


def test_a_controller_certificate_of_an_earlier_version_with_all_rights_is_replaced(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.ensure(NOW)
    authority = certificates.read((tmp_path / "ca.crt").read_bytes(), (tmp_path / "ca.key").read_bytes())
    end = time_of(NOW) + datetime.timedelta(days=LEAF_DAYS)
    who = certificates.subject("controller", "system:masters")
    pair = certificates.issue(authority, who, Period(BEGIN, end)).pem()
    for kind, content in zip(("crt", "key"), pair, strict=True):
        (tmp_path / f"controller.{kind}").write_bytes(content)
    assert changes(pki)
    assert certificate(tmp_path, "controller").subject.rfc4514_string() == "CN=controller"
