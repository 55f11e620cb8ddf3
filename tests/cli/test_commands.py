"""The command line: help, version, errors in one sentence, exit statuses."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography import x509

from controller import __version__, settings
from controller.apiserver.access import kubeconfigs
from controller.apiserver.access.pki import Pki
from controller.cli import main
from controller.state import State
from tests.support import small_disk

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **environment: str) -> Result:
    """Run a command in this process."""
    return CliRunner(env={"EDGE_STATE_DIR": "/nonexistent/state", **environment}).invoke(main.cli, arguments)


def program(
    *arguments: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the program in a subprocess, as users do."""
    return subprocess.run(
        [sys.executable, "-m", "controller", *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version_prints_the_packages_version() -> None:
    assert run("version").output.strip() == __version__


@pytest.mark.parametrize("command", [(), *[(name,) for name in main.COMMANDS], ("cloud", "serve"), ("cloud", "send")])
def test_every_command_has_help_with_examples(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.output
    if command != ("version",):
        assert "Example" in result.output
        assert "  edge-controller " in result.output or "EDGE_CLOUD_URL= edge-controller" in result.output


def test_run_has_a_flag_for_every_setting() -> None:
    text = run("run", "--help").output
    assert all(f"--{field.replace('_', '-')}" in text for field in settings.Settings.model_fields)
    assert all(settings.variable(field) in text.replace("\n", "") for field in settings.Settings.model_fields)


def test_help_loads_no_heavy_libraries() -> None:
    code = (
        "import sys; from controller.cli import main\n"
        "try: main.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'aiohttp', 'kopf', 'docker', 'socketio', 'pydantic', 'cryptography', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_command_is_refused() -> None:
    result = run("start")
    assert result.exit_code == 2
    assert "No such command" in result.output


@pytest.mark.parametrize(
    ("arguments", "environment", "part"),
    [
        (("run",), {"EDGE_API_LISTEN": "6445"}, "EDGE_API_LISTEN is malformed"),
        (("run", "--internal-pool", "8.8.0.0/16"), {}, "EDGE_INTERNAL_POOL is malformed"),
        (("run", "--config", "/nonexistent.toml"), {}, "--config /nonexistent.toml cannot be read"),
        (("run", "--state-dir", "/proc/state"), {}, "EDGE_STATE_DIR /proc/state cannot be created"),
        (("kubeconfig", "--state-dir", "/nonexistent/state"), {}, "start `edge-controller run` once"),
        (
            ("kubeconfig", "--user", "viewer", "--state-dir", "/nonexistent/state"),
            {},
            "start it once, run this as root",
        ),
        (("kubeconfig", "--server", "edge-7:6445"), {}, "give it as https://HOST:PORT"),
        (("run", "--api-listen", "0.0.0.0:6445"), {}, "set EDGE_API_EXPOSE=true if that is intended"),
        (("logs", "plc-1", "--state-dir", "/nonexistent/state"), {}, "belongs to no installation"),
    ],
)
def test_an_error_is_one_sentence_with_status_1(
    arguments: tuple[str, ...], environment: dict[str, str], part: str
) -> None:
    done = program(*arguments, environment=environment)
    assert done.returncode == 1
    assert part in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert not Path("/nonexistent").exists()


@pytest.mark.parametrize("folder", ["", "state"], ids=["used before", "new"])
def test_a_start_on_a_read_only_disk_fails_with_one_sentence_and_its_remedy(tmp_path: Path, folder: str) -> None:
    with small_disk.tmpfs(tmp_path / "disk") as disk:
        with State(disk.path).lock():
            State(disk.path).install_id("07048933")
        disk.read_only(True)
        done = program("run", environment={"EDGE_STATE_DIR": str(disk.path / folder)})
        disk.read_only(False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Read-only file system" in done.stderr
    assert ("set a writable directory" if folder else "mount the file system read-write") in done.stderr


def test_crds_prints_manifests() -> None:
    documents = list(yaml.safe_load_all(run("crds").output))
    assert [document["spec"]["names"]["kind"] for document in documents] == ["Runtime", "EdgeNode", "RuntimeCommand"]


def test_crds_detects_outdated_files(tmp_path: Path) -> None:
    assert program("crds", "--write", str(tmp_path)).returncode == 0
    assert program("crds", "--check", str(tmp_path)).returncode == 0
    path = tmp_path / "runtimes.getedge.me.yaml"
    path.write_text(path.read_text().replace("plural: runtimes", "plural: runtime"))
    done = program("crds", "--check", str(tmp_path))
    assert done.returncode == 1
    assert "runtimes.getedge.me.yaml" in done.stderr
    assert "make crds" in done.stderr


def test_the_crds_in_the_repository_are_up_to_date() -> None:
    assert program("crds", "--check", str(ROOT / "crds")).returncode == 0


def test_kubeconfig_prints_that_of_the_embedded_api(tmp_path: Path) -> None:
    State(tmp_path).write("kubeconfig", "kind: Config\n")
    assert run("kubeconfig", "--state-dir", str(tmp_path)).output == "kind: Config\n"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """The state directory of a controller that has run before."""
    Pki(tmp_path / "api" / "pki", lambda: ["192.168.1.5"]).ensure(time.time())
    cluster = {"server": "https://127.0.0.1:6445", "certificate-authority-data": "QUJD"}
    kubeconfig = kubeconfigs.of(cluster, "admin", (b"certificate", b"key"), "edge")
    State(tmp_path).write("kubeconfig", yaml.safe_dump(kubeconfig))
    return tmp_path


@pytest.mark.parametrize(
    ("options", "name", "hours"),
    [
        (("--user", "viewer"), "CN=viewer", 24),
        (("--user", "viewer", "--ttl", "30m"), "CN=viewer", 0.5),
        (("--ttl", "7d"), "CN=admin,O=system:masters", 168),
    ],
)
def test_a_kubeconfig_is_issued_for_a_limited_time(
    state_dir: Path, options: tuple[str, ...], name: str, hours: float
) -> None:
    found = yaml.safe_load(run("kubeconfig", *options, "--state-dir", str(state_dir)).output)
    user, cluster = found["users"][0]["user"], found["clusters"][0]["cluster"]
    certificate = x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))
    assert certificate.subject.rfc4514_string() == name
    left = certificate.not_valid_after_utc.timestamp() - time.time()
    assert hours * 3600 - 60 < left <= hours * 3600
    assert cluster["server"] == "https://127.0.0.1:6445"
    assert found["contexts"][0]["context"]["namespace"] == "edge"


@pytest.mark.parametrize(
    ("server", "seen_name"), [("https://192.168.1.5:6445", None), ("https://edge-7.plant:443", "localhost")]
)
def test_a_kubeconfig_for_another_machine(state_dir: Path, server: str, seen_name: str | None) -> None:
    printed = run("kubeconfig", "--user", "viewer", "--server", server, "--state-dir", str(state_dir)).output
    cluster = yaml.safe_load(printed)["clusters"][0]["cluster"]
    assert (cluster["server"], cluster.get("tls-server-name")) == (server, seen_name)


@pytest.mark.parametrize("ttl", ["0h", "30s", "366d", "soon", "-1h"])
def test_an_invalid_lifetime_is_refused(state_dir: Path, ttl: str) -> None:
    result = run("kubeconfig", f"--ttl={ttl}", "--state-dir", str(state_dir))
    assert result.exit_code == 2
    assert "give it as 30m, 24h or 7d" in result.output


def test_reset_reactivates_a_retired_agent(tmp_path: Path) -> None:
    State(tmp_path).retire()
    assert "active again" in run("reset", "--state-dir", str(tmp_path)).output
    assert not State(tmp_path).retired
    assert "nothing to do" in run("reset", "--state-dir", str(tmp_path)).output


def test_purge_without_an_installation_does_nothing(tmp_path: Path) -> None:
    result = run("purge", "--yes", "--state-dir", str(tmp_path / "state"))
    assert result.exit_code == 0
    assert "nothing to remove" in result.output
    assert not (tmp_path / "state").exists()


def test_check_reports_problems_and_fails(tmp_path: Path) -> None:
    environment = {
        "EDGE_STATE_DIR": str(tmp_path / "state"),
        "EDGE_CLIENT_CERT": str(tmp_path / "missing.crt"),
        "DOCKER_HOST": f"unix://{tmp_path}/missing.sock",
    }
    done = program("check", environment=environment)
    assert done.returncode == 1
    levels = {
        line.split(":")[0].split(maxsplit=1)[1]: line.split()[0] for line in done.stdout.splitlines() if ":" in line
    }
    assert levels["Docker"] == levels["certificate"] == "FAIL"
    assert levels["state directory"] == "OK"
    assert "2 to fix" in done.stdout
    assert not (tmp_path / "state").exists()
