"""Certificates and tokens: made once, mended after a power cut, renewed before they end."""

from __future__ import annotations

import datetime
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from controller.apiserver.pki import LEAF_DAYS, RENEW_DAYS, Pki

NOW = 1_800_000_000.0
DAY = 86_400.0


def certificate(directory: Path, name: str) -> x509.Certificate:
    """A certificate as it is on disk."""
    return x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())


def sound(directory: Path) -> bool:
    """Whether a server and its users can use what is there."""
    pki = Pki(directory, "127.0.0.1")
    pki.server_context()
    ca = certificate(directory, "ca")
    for name in ("server", "admin", "controller"):
        certificate(directory, name).verify_directly_issued_by(ca)
    return len(pki.tokens()) == 2 and not pki.ensure(NOW)


def test_everything_is_made_once_and_readable_by_nobody_else(tmp_path: Path) -> None:
    assert Pki(tmp_path, "127.0.0.1").ensure(NOW)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert not Pki(tmp_path, "127.0.0.1").ensure(NOW)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert {stat.S_IMODE(path.stat().st_mode) for path in before} == {0o600}


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
def test_what_a_power_cut_damaged_is_made_anew(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    Pki(tmp_path, "127.0.0.1").ensure(NOW)
    damage(tmp_path)
    Pki(tmp_path, "127.0.0.1").ensure(NOW)
    assert sound(tmp_path)


def test_certificates_are_renewed_before_they_end_and_tokens_stay(tmp_path: Path) -> None:
    pki = Pki(tmp_path, "127.0.0.1")
    pki.ensure(NOW)
    tokens, ca, first = pki.tokens(), certificate(tmp_path, "ca"), certificate(tmp_path, "admin")
    assert not pki.ensure(NOW + (LEAF_DAYS - RENEW_DAYS - 1) * DAY)
    assert pki.ensure(NOW + (LEAF_DAYS - RENEW_DAYS + 1) * DAY)
    assert certificate(tmp_path, "admin").not_valid_after_utc - first.not_valid_after_utc > datetime.timedelta(days=300)
    assert (pki.tokens(), certificate(tmp_path, "ca")) == (tokens, ca)


def test_another_address_gets_another_server_certificate(tmp_path: Path) -> None:
    Pki(tmp_path, "127.0.0.1").ensure(NOW)
    assert Pki(tmp_path, "127.0.0.2").ensure(NOW)
    names = certificate(tmp_path, "server").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "127.0.0.2" in [str(address) for address in names.get_values_for_type(x509.IPAddress)]
