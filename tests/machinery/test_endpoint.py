"""The endpoint of the API: in a pod, from kubeconfigs, or an error that says what is missing."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from controller import errors
from controller.machinery import endpoint
from tests.support import kubeconfigs
from tests.support.certificates import Authority
from tests.support.kubeconfigs import document, encoded, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the test writes its kubeconfig."""
    return tmp_path / "kubeconfig"


async def failure(path: Path, content: dict[str, Any]) -> str:
    """The error of a kubeconfig."""
    with pytest.raises(errors.SettingError) as raised:
        await endpoint.from_kubeconfig(write(path, content))
    assert str(path) in str(raised.value)
    return str(raised.value)


async def test_in_a_pod_the_service_account_is_used(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t1\n")
    (tmp_path / "ca.crt").write_text("certificate")
    pod = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443", "KUBECONFIG": "/none"}
    found = await endpoint.from_cluster(pod, tmp_path)
    assert found.url == "https://[fd00::1]:6443"
    assert found.ca_file == tmp_path / "ca.crt"
    assert await asyncio.to_thread(found.authorization) == {"Authorization": "Bearer t1"}
    (tmp_path / "token").write_text("t2\n")
    assert await asyncio.to_thread(found.authorization) == {"Authorization": "Bearer t2"}


async def test_an_incomplete_service_account_is_reported(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t1")
    pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(errors.SettingError, match="certification file does not exist"):
        await endpoint.from_cluster(pod, tmp_path)


async def test_a_missing_cluster_is_reported_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingError, match="EDGE_API is cluster"):
        await endpoint.from_cluster({}, tmp_path)


async def test_a_kubeconfig_may_name_files_relative_to_itself(path: Path, certificates: Authority) -> None:
    pair = certificates.agent("admin")
    user = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
    write(path, document({"certificate-authority": "certificates/ca.crt"}, user))
    found = await endpoint.from_cluster({"KUBECONFIG": str(path)})
    assert found.url == "https://example.test:6443"
    assert found.ca_file == path.parent / "certificates/ca.crt"
    assert found.client_cert == pair.certificate
    assert found.ssl_context().get_ca_certs()


async def test_embedded_certificates_leave_no_file_on_disk(
    path: Path, certificates: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = path.parent / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    pair = certificates.agent("admin")
    user = {"client-certificate-data": encoded(pair.certificate), "client-key-data": encoded(pair.key)}
    write(path, document({"certificate-authority-data": encoded(certificates.ca)}, user))
    found = await endpoint.from_kubeconfig(path)
    assert (await asyncio.to_thread(found.ssl_context)).get_ca_certs()
    assert list(temporary.iterdir()) == []
    assert "PRIVATE KEY" not in repr(found)


async def test_a_token_is_not_in_the_repr(path: Path) -> None:
    found = await endpoint.from_kubeconfig(write(path, document(user={"token": "secret"})))
    assert found.authorization() == {"Authorization": "Bearer secret"}
    assert "secret" not in repr(found)


async def test_a_token_file_is_preferred_to_a_token_and_read_again(path: Path) -> None:
    (path.parent / "token").write_text("t1\n")
    found = await endpoint.from_kubeconfig(write(path, document(user={"token": "old", "tokenFile": "token"})))
    assert await asyncio.to_thread(found.authorization) == {"Authorization": "Bearer t1"}
    (path.parent / "token").write_text("t2")
    assert await asyncio.to_thread(found.authorization) == {"Authorization": "Bearer t2"}


async def test_a_password_is_sent_as_basic_authentication(path: Path) -> None:
    found = await endpoint.from_kubeconfig(write(path, document(user={"username": "a", "password": "b"})))
    assert found.authorization() == {"Authorization": "Basic YTpi"}


async def test_the_options_of_the_connection_are_read(path: Path) -> None:
    options = {"tls-server-name": "api.test", "insecure-skip-tls-verify": True, "proxy-url": "http://proxy.test:3128"}
    found = await endpoint.from_kubeconfig(write(path, document(options)))
    assert (found.server_name, found.insecure, found.proxy) == ("api.test", True, "http://proxy.test:3128")
    assert found.ssl_context().verify_mode is ssl.CERT_NONE


async def test_files_are_merged_as_kubectl_merges_them(tmp_path: Path, certificates: Authority) -> None:
    """The first current context and the first entry of a name win; paths are relative to the entry's own file."""
    first = document({"server": "https://first.test"}, name="first")
    first["contexts"].append({"name": "both", "context": {"cluster": "first", "user": "second"}})
    first["current-context"] = "both"
    second = document({"server": "https://second.test"}, {"tokenFile": "token"}, name="second")
    second["clusters"].append({"name": "first", "cluster": {"server": "https://ignored.test"}})
    (tmp_path / "b").mkdir()
    (tmp_path / "b/token").write_text("token-of-b")
    files = [tmp_path / "missing", write(tmp_path / "a/config", first), write(tmp_path / "b/config", second)]
    found = await endpoint.from_cluster({"KUBECONFIG": os.pathsep.join(map(str, files))})
    assert found.url == "https://first.test"
    assert found.token_file == tmp_path / "b/token"


UNUSABLE: list[tuple[str, dict[str, Any], str]] = [
    ("another context", document() | {"current-context": "gone"}, "no context gone (there are: edge)"),
    ("no context", document() | {"current-context": ""}, "kubectl config use-context"),
    ("no user", document() | {"users": []}, "no user edge (there are: none)"),
    ("no cluster", document() | {"clusters": None}, "no cluster edge"),
    ("no server", document({"server": None}), "server"),
    ("no PEM", document(user={"client-certificate-data": "%%%", "client-key-data": "x"}), "base64"),
    ("no key", document(user={"client-certificate-data": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"}), "and its key"),
    ("a missing file", document({"certificate-authority": "gone.crt"}), "gone.crt"),
    ("a missing token file", document(user={"tokenFile": "gone"}), "gone: No such file"),
    ("a token with a line break", document(user={"token": "a\nHost: b"}), "characters that no token has"),
    ("impersonation", document(user={"token": "t", "as": "root"}), "impersonation"),
    ("a SOCKS proxy", document({"proxy-url": "socks5://p"}), "proxy-url"),
    ("a removed provider", document(user={"auth-provider": {"name": "azure"}}), "azure"),
    ("Google without its library", document(user={"auth-provider": {"name": "gcp"}}), "gcp"),
    ("no id-token", document(user={"auth-provider": {"name": "oidc", "config": {"x": "SECRET"}}}), "id-token"),
]


@pytest.mark.parametrize(("content", "part"), [row[1:] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE])
async def test_an_unusable_kubeconfig_is_reported_with_the_remedy(
    path: Path, content: dict[str, Any], part: str
) -> None:
    message = await failure(path, content)
    assert part in message
    assert "SECRET" not in message


ALIASES = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MALFORMED = [
    ("empty", "", "is empty"),
    ("a list", "[]", "not a valid kubeconfig"),
    ("not YAML", "{", "not YAML"),
    ("no lists", "current-context: edge", "no context edge"),
    ("texts for lists", "current-context: edge\nusers: abc\nclusters: 7\n", "not a valid kubeconfig"),
    ("a Python object", "!!python/object/apply:os.system [id]", "not YAML"),
    ("deep nesting", "[" * 50_000, "too large or too deeply nested"),
    ("a bomb of aliases", f"{ALIASES}users:\n- name: edge\n  user: *a11\ncurrent-context: edge", "too large"),
    ("binary", "\x00\x01", "not"),
    ("too large", "#" * (2 << 20), "at most 1 MiB"),
    ("a secret beside a syntax error", "users:\n- token: SECRET\n  : [", "not YAML"),
]


@pytest.mark.parametrize(("text", "part"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
async def test_a_malformed_kubeconfig_is_reported(path: Path, text: str, part: str) -> None:
    path.write_text(text)
    with pytest.raises(errors.SettingError) as raised:
        await endpoint.from_kubeconfig(path)
    assert str(raised.value).startswith(f"KUBECONFIG {path}")
    assert part in str(raised.value)
    assert "SECRET" not in str(raised.value)


async def test_what_is_no_file_is_reported(tmp_path: Path) -> None:
    for name in ("missing", "folder", "pipe"):
        path = tmp_path / name
        if name == "folder":
            path.mkdir()
        elif name == "pipe":
            os.mkfifo(path)
        with pytest.raises(errors.SettingError, match=r"no such file|not a file"):
            await endpoint.from_kubeconfig(path)


async def test_modules_of_the_working_directory_are_not_imported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path.parent / "yaml.py").write_text("raise SystemExit")
    monkeypatch.chdir(path.parent)
    assert (await endpoint.from_kubeconfig(write(path, document()))).token == "t"


async def test_our_own_settings_are_not_given_to_plugins(path: Path) -> None:
    code = kubeconfigs.printing(token="TOKEN").replace("'TOKEN'", "','.join(sorted(os.environ))")
    made = kubeconfigs.plugin(path.parent / "plugin", code)
    write(path, document(user=kubeconfigs.executing(made)))
    found = await endpoint.from_cluster({"KUBECONFIG": str(path), "EDGE_NODE_TOKEN": "secret", "HOME": "/root"})
    assert found.token is not None
    assert "HOME" in found.token.split(",")
    assert "EDGE_NODE_TOKEN" not in found.token
