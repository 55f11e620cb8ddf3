"""Credential plugins: what they get, and whatever they print or do ends in bounded time with one sentence."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from controller import errors
from controller.machinery import endpoint
from controller.machinery.endpoint import Endpoint
from controller.machinery.kubeconfig.plugin import without_secrets
from tests.support import kubeconfigs
from tests.support.certificates import Authority
from tests.support.edge_host import eventually
from tests.support.kubeconfigs import document, executing, plugin, printing, write

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJwbGMifQ.c2lnbmF0dXJl"


async def resolve(folder: Path, code: str, **options: Any) -> Endpoint:
    """The endpoint of a kubeconfig with a plugin with this code."""
    made = plugin(folder / "plugin", code)
    return await endpoint.from_kubeconfig(write(folder / "kubeconfig", document(user=executing(made, **options))))


async def test_its_token_is_used_until_the_time_it_names(tmp_path: Path) -> None:
    found = await resolve(tmp_path, printing(token=JWT, expirationTimestamp="2100-01-01T00:00:00Z"))
    assert found.authorization() == {"Authorization": f"Bearer {JWT}"}
    assert found.expires_at == 4_102_444_800
    assert JWT not in repr(found)


async def test_its_certificate_is_used(tmp_path: Path, certificates: Authority) -> None:
    pair = certificates.agent("admin")
    status = {"clientCertificateData": pair.certificate.read_text(), "clientKeyData": pair.key.read_text()}
    found = await resolve(tmp_path, printing(**status))
    assert await asyncio.to_thread(found.ssl_context)
    assert found.authorization() == {}


async def test_renewing_runs_it_again(tmp_path: Path) -> None:
    code = "path = sys.argv[0] + '.runs'\nopen(path, 'a').write('x')\nruns = str(os.path.getsize(path))\n"
    found = await resolve(tmp_path, code + printing(token="RUN").replace("'RUN'", "'run-' + runs"))
    assert found.token == "run-1"
    assert found.renew
    assert (await found.renew()).token == "run-2"


async def test_it_gets_arguments_environment_and_information_and_no_terminal(tmp_path: Path) -> None:
    code = (
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])['spec']\n"
        "try: os.open('/dev/tty', os.O_RDWR)\n"
        "except OSError: tty = False\n"
        "seen = [sys.argv[1:], os.environ['CLUSTER'], info['interactive'], info['cluster']['server'], "
        "sys.stdin.read(), tty]\n"
        f"open({str(tmp_path / 'seen')!r}, 'w').write(json.dumps(seen))\n"
    )
    options = {"args": ["get-token"], "env": [{"name": "CLUSTER", "value": "plant"}], "provideClusterInfo": True}
    await resolve(tmp_path, code + printing(token="t"), **options)
    expected = [["get-token"], "plant", False, "https://example.test:6443/", "", False]
    assert json.loads((tmp_path / "seen").read_text()) == expected


async def test_a_relative_command_is_relative_to_the_file_of_its_user(tmp_path: Path) -> None:
    plugin(tmp_path / "users/bin/plugin", printing(token="right"))
    users = write(tmp_path / "users/config", {"users": document(user=executing("bin/plugin"))["users"]})
    first = write(tmp_path / "cluster/config", document() | {"users": []})
    found = await endpoint.from_cluster({"KUBECONFIG": f"{first}:{users}"})
    assert found.token == "right"


async def test_a_bare_command_is_found_in_path_and_never_beside_the_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path / "config/get-token", printing(token="wrong"))
    path = write(tmp_path / "config/kubeconfig", document(user=executing("get-token")))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:.")
    with pytest.raises(errors.SettingError, match="no credential plugin get-token"):
        await endpoint.from_kubeconfig(path)
    plugin(tmp_path / "bin/get-token", printing(token="right"))
    assert (await endpoint.from_kubeconfig(path)).token == "right"


FAILURES: list[tuple[str, str, str]] = [
    ("exit status", "sys.exit('Unable to locate credentials')", "process returned 1. Unable to locate credentials"),
    ("killed", "os.kill(os.getpid(), 9)", "process returned -9"),
    ("nothing", "pass", "failed to decode process output"),
    ("a list", "print([])", "missing key"),
    (
        "no status",
        "print(json.dumps(dict(apiVersion='client.authentication.k8s.io/v1', kind='x', status=None)))",
        "valid",
    ),
    ("another version", printing(token="t").replace("/v1", "/v1beta1"), "does not match"),
    ("an empty status", printing(), "missing token"),
    ("a certificate without key", printing(clientCertificateData="x"), "missing clientKeyData"),
    ("an odd token", printing(token="a\r\nHost: b"), "characters that no token has"),
    ("an odd time", printing(token="t", expirationTimestamp="tomorrow"), "no valid ExecCredential"),
    ("an old time", printing(token="t", expirationTimestamp="2020-01-01T00:00:00Z"), "expired at 2020-01-01T00:00:00Z"),
    ("megabytes", "while True: print('x' * 65536)", "more than 1 MiB"),
    ("binary", "os.write(1, bytes(range(256)))", "failed to decode"),
]


@pytest.mark.parametrize(("code", "part"), [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES])
async def test_a_failure_is_one_sentence(tmp_path: Path, code: str, part: str) -> None:
    with pytest.raises(errors.SettingError) as raised:
        await resolve(tmp_path, code)
    message = str(raised.value)
    assert message.startswith(f"KUBECONFIG {tmp_path}/kubeconfig cannot be used: ")
    assert part in message
    assert "\n" not in message
    assert len(message) < 600


async def test_megabytes_of_errors_do_not_stop_it(tmp_path: Path) -> None:
    code = "sys.stderr.write('x' * (8 << 20))\n" + printing(token="t")
    assert (await resolve(tmp_path, code)).token == "t"


async def test_a_secret_in_its_errors_is_left_out(tmp_path: Path) -> None:
    code = f"sys.exit('cannot renew: refresh_token=hunter2 Authorization: Bearer abc.def {JWT}')"
    with pytest.raises(errors.SettingError, match="cannot renew") as raised:
        await resolve(tmp_path, code)
    assert not [secret for secret in ("hunter2", "abc.def", JWT) if secret in str(raised.value)]


async def test_a_missing_plugin_is_reported_with_its_hint(tmp_path: Path) -> None:
    user = executing("no-such-plugin", installHint="Install it\nwith apt")
    with pytest.raises(errors.SettingError, match="no-such-plugin that can be executed: Install it with apt"):
        await endpoint.from_kubeconfig(write(tmp_path / "kubeconfig", document(user=user)))


async def test_one_that_needs_a_terminal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingError, match="needs a terminal"):
        await resolve(tmp_path, printing(token="t"), interactiveMode="Always")


HANGING = "os.fork()\nopen(sys.argv[0] + '.pid', 'a').write(f'{os.getpid()} ')\ntime.sleep(600)\n"


async def no_process(folder: Path) -> None:
    """Wait until the hanging plugin and its descendant are gone."""
    pids = [int(pid) for pid in (folder / "plugin.pid").read_text().split()]
    assert pids

    async def gone() -> bool:
        return not any(psutil.pid_exists(pid) for pid in pids)

    await eventually(gone, "the plugin and its descendant are gone", seconds=10)


async def test_one_that_hangs_is_killed_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "READER_SECONDS", 3)
    began = time.monotonic()
    with pytest.raises(errors.SettingError, match="the credential plugin plugin did not finish within 3 s"):
        await resolve(tmp_path, HANGING)
    assert time.monotonic() - began < 10
    await no_process(tmp_path)


async def test_cancelling_kills_it(tmp_path: Path) -> None:
    resolving = asyncio.create_task(resolve(tmp_path, HANGING))

    async def started() -> bool:
        return len((tmp_path / "plugin.pid").read_text().split()) == 2 if (tmp_path / "plugin.pid").exists() else False

    await eventually(started, "the plugin hangs")
    resolving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await resolving
    await no_process(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("token: abc expired", "token: ... expired"),
        ('{"access_token": "abc"}', '{"access_token": ...'),
        ("bearer abc", "bearer ..."),
        ("no token found in /home/plc/.aws", "no token found in /home/plc/.aws"),
        (f"sent {JWT} to server", "sent ... to server"),
    ],
)
def test_secrets_are_left_out_of_a_text(text: str, expected: str) -> None:
    assert without_secrets(text) == expected


def test_the_support_reads_what_it_writes(certificates: Authority) -> None:
    ca = {"certificate-authority-data": kubeconfigs.encoded(certificates.ca)}
    found = kubeconfigs.embedded(document(ca, {"token": "t"}))
    assert found.ssl_context().get_ca_certs()
