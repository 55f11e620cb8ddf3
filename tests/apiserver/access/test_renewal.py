"""Certificates are checked once, renewed in a process of its own, and in this one if that fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver.access import renewal
from controller.apiserver.access.pki import LEAF_DAYS, RENEW_DAYS, Pki
from controller.apiserver.access.renewal import CertificateRenewal
from tests.support import command

NOW = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The commands of the processes that were started; the tests' own process has loaded the library."""
    monkeypatch.setattr(renewal, "LIBRARY", "not loaded")
    started, run = [], subprocess.run

    def recorded(command: Any, **options: Any) -> Any:
        started.append(command)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", recorded)
    return started


def test_a_process_of_its_own_creates_them_and_they_are_not_checked_again(tmp_path: Path, children: list[Any]) -> None:
    assert CertificateRenewal(tmp_path).ensure(NOW)
    assert not CertificateRenewal(tmp_path).ensure(NOW)
    assert len(children) == 1
    CertificateRenewal(tmp_path).server_context()


@pytest.mark.parametrize("file", ["server.key", "ca.crt", "admin.crt", "checked.json"])
def test_a_changed_or_missing_file_is_checked_again(tmp_path: Path, children: list[Any], file: str) -> None:
    CertificateRenewal(tmp_path).ensure(NOW)
    (tmp_path / file).unlink()
    assert CertificateRenewal(tmp_path).ensure(NOW) == (file != "checked.json")
    assert len(children) == 2
    CertificateRenewal(tmp_path).server_context()


def test_they_are_renewed_before_they_expire(tmp_path: Path, children: list[Any]) -> None:
    CertificateRenewal(tmp_path).ensure(NOW)
    assert not CertificateRenewal(tmp_path).ensure(NOW + (LEAF_DAYS - RENEW_DAYS - 1) * DAY)
    assert len(children) == 1
    assert CertificateRenewal(tmp_path).ensure(NOW + (LEAF_DAYS - RENEW_DAYS + 1) * DAY)


def test_a_new_address_is_added_and_an_old_one_not_removed(tmp_path: Path, children: list[Any]) -> None:
    CertificateRenewal(tmp_path).ensure(NOW)
    assert CertificateRenewal(tmp_path, lambda: ["192.168.1.5", "edge-7"]).ensure(NOW)
    assert not CertificateRenewal(tmp_path, lambda: ["edge-7"]).ensure(NOW)
    assert len(children) == 2


def test_another_version_checks_them_again(
    tmp_path: Path, children: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    CertificateRenewal(tmp_path).ensure(NOW)
    monkeypatch.setattr(renewal, "__version__", "another")
    assert not CertificateRenewal(tmp_path).ensure(NOW)
    assert len(children) == 2


def test_an_empty_token_is_replaced_without_a_check_of_the_certificates(tmp_path: Path, children: list[Any]) -> None:
    CertificateRenewal(tmp_path).ensure(NOW)
    (tmp_path / "admin.token").write_bytes(b"")
    assert not CertificateRenewal(tmp_path).ensure(NOW)
    assert all(CertificateRenewal(tmp_path).tokens())
    assert len(children) == 1


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false", "/bin/true"])
def test_without_that_process_they_are_created_here(
    tmp_path: Path, children: list[Any], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    assert CertificateRenewal(tmp_path).ensure(NOW)
    assert len(children) == 1
    CertificateRenewal(tmp_path).server_context()


def test_what_a_process_renewed_before_it_failed_counts_as_renewed(
    tmp_path: Path, children: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    CertificateRenewal(tmp_path).ensure(NOW)
    run = subprocess.run

    def failing(command: Any, **options: Any) -> Any:
        run(command, **options)
        raise OSError("Invalid argument")

    monkeypatch.setattr(subprocess, "run", failing)
    assert CertificateRenewal(tmp_path).ensure(NOW + LEAF_DAYS * DAY)
    assert not CertificateRenewal(tmp_path).ensure(NOW + LEAF_DAYS * DAY)


def test_what_that_process_reports_is_logged(
    tmp_path: Path, children: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    CertificateRenewal(tmp_path).ensure(NOW)
    (tmp_path / "ca.key").write_bytes(b"")
    CertificateRenewal(tmp_path).ensure(NOW)
    (logged,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "edge-controller kubeconfig" in logged


def test_that_process_does_not_import_the_server() -> None:
    server = ("aiohttp", "yaml", "controller.apiserver.failures")
    code = f"import sys, {Pki.__module__}; print([name for name in {server} if name in sys.modules])"
    assert command.run(sys.executable, "-c", code).stdout.strip() == "[]"
