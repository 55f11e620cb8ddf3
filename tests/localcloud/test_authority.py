"""The local cloud's CA: persistent, private, and strict about names."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509

from controller.errors import CommandError, SettingError
from controller.localcloud.authority import CA_FILE, Authority


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_enrolled_agent_gets_three_private_files(tmp_path: Path) -> None:
    folder = Authority(tmp_path / "cloud").enroll("07048933", tmp_path / "out")
    assert {path.name: _mode(path) for path in folder.iterdir()} == {
        "client.crt": 0o600,
        "client.key": 0o600,
        "ca.crt": 0o600,
    }
    assert _mode(folder) == _mode(tmp_path / "cloud") == 0o700
    assert _mode(tmp_path / "cloud" / CA_FILE) == 0o600


def test_the_ca_is_created_once_and_kept(tmp_path: Path) -> None:
    assert Authority(tmp_path / "cloud").ca_pem == Authority(tmp_path / "cloud").ca_pem


def test_concurrent_creation_yields_one_ca(tmp_path: Path) -> None:
    first = Authority(tmp_path / "cloud")
    first._create(tmp_path / "cloud" / CA_FILE)  # the slower one finds the file
    assert Authority(tmp_path / "cloud").ca_pem == first.ca_pem
    assert [path.name for path in (tmp_path / "cloud").iterdir()] == [CA_FILE]


def test_a_certificate_names_the_agent_and_is_for_clients_only(tmp_path: Path) -> None:
    folder = Authority(tmp_path / "cloud").enroll("07048933")
    certificate = x509.load_pem_x509_certificate((folder / "client.crt").read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=07048933"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]


@pytest.mark.parametrize("name", ["", " ", "../evil", "a/b", "-x", "a" * 65, "a\nb"])
def test_an_invalid_agent_id_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match="cannot be an agent id"):
        Authority(tmp_path / "cloud").enroll(name)


def test_a_damaged_ca_is_reported_with_the_remedy(tmp_path: Path) -> None:
    Authority(tmp_path)
    (tmp_path / CA_FILE).write_text("damaged")
    with pytest.raises(SettingError, match=f"{CA_FILE} cannot be used .*; remove it to create a new CA"):
        Authority(tmp_path)


def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="cannot be written: Not a directory; choose another --out"):
        Authority(tmp_path / "cloud").enroll("a", tmp_path / "file" / "out")
