"""The endpoint of the API: in a pod, from a kubeconfig, or an error that says what is missing."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller import errors
from controller.machinery import endpoint
from tests.support.certificates import Authority


def kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any], context: str = "edge") -> Path:
    """A kubeconfig with a second context besides the current one."""
    path = folder / "kubeconfig"
    document = {
        "current-context": context,
        "contexts": [
            {"name": "other", "context": {"cluster": "other", "user": "other"}},
            {"name": "edge", "context": {"cluster": "edge", "user": "admin"}},
        ],
        "clusters": [{"name": "edge", "cluster": {"server": "https://example.test:6443/", **cluster}}],
        "users": [{"name": "admin", "user": user}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def encoded(path: Path) -> str:
    """Encode a file as in a kubeconfig."""
    return base64.b64encode(path.read_bytes()).decode()


def test_in_a_pod_the_service_account_is_used(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t1\n")
    found = endpoint.from_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
    assert found.url == "https://[fd00::1]:6443"
    assert found.ca_file == tmp_path / "ca.crt"
    assert found.authorization() == {"Authorization": "Bearer t1"}
    (tmp_path / "token").write_text("t2\n")
    assert found.authorization() == {"Authorization": "Bearer t2"}


def test_a_kubeconfig_may_name_files_relative_to_itself(tmp_path: Path, certificates: Authority) -> None:
    pair = certificates.agent("admin")
    user = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
    path = kubeconfig(tmp_path, {"certificate-authority": "certificates/ca.crt"}, user)
    found = endpoint.from_cluster({"KUBECONFIG": str(path)})
    assert found.url == "https://example.test:6443"
    assert found.ca_file == tmp_path / "certificates/ca.crt"
    assert found.ssl_context().get_ca_certs()


def test_embedded_certificates_leave_no_file_on_disk(
    tmp_path: Path, certificates: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    pair = certificates.agent("admin")
    user = {"client-certificate-data": encoded(pair.certificate), "client-key-data": encoded(pair.key)}
    path = kubeconfig(tmp_path, {"certificate-authority-data": encoded(certificates.ca)}, user)
    found = endpoint.from_kubeconfig(path)
    assert found.ssl_context().get_ca_certs()
    assert list(temporary.iterdir()) == []
    assert "PRIVATE KEY" not in repr(found)


def test_a_token_is_not_in_the_repr(tmp_path: Path) -> None:
    found = endpoint.from_kubeconfig(kubeconfig(tmp_path, {}, {"token": "secret"}))
    assert found.authorization() == {"Authorization": "Bearer secret"}
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("user", "context", "part"),
    [
        ({"exec": {"command": "aws"}}, "edge", "credential plugins are not supported"),
        ({"client-certificate-data": "%%%", "client-key-data": "x"}, "edge", "not base64"),
        ({"token": "t"}, "missing", "missing"),
    ],
)
def test_an_unusable_kubeconfig_is_reported_with_the_remedy(
    tmp_path: Path, user: dict[str, Any], context: str, part: str
) -> None:
    path = kubeconfig(tmp_path, {}, user, context)
    with pytest.raises(errors.SettingError) as raised:
        endpoint.from_kubeconfig(path)
    assert str(path) in str(raised.value)
    assert part in str(raised.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "current-context: edge"])
def test_a_malformed_kubeconfig_is_reported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(errors.SettingError, match="KUBECONFIG"):
        endpoint.from_kubeconfig(path)


def test_a_missing_cluster_is_reported_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingError, match="EDGE_API is cluster"):
        endpoint.from_cluster({}, tmp_path)
