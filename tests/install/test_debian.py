"""The README's installation on a stock Debian 12: runs the commands of the README as written."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import __version__
from tests.support.command import run
from tests.support.stock_debian import PROJECT, StockDebian

pytestmark = [pytest.mark.install, pytest.mark.timeout(900)]

# The wheels of the lock files, downloaded once by scripts/wheels.sh; pip still checks every hash.
WHEELS = {"PIP_FIND_LINKS": "/wheels", "PIP_NO_INDEX": "1", "PIP_ROOT_USER_ACTION": "ignore"}
ALONE = {"EDGE_CLOUD_URL": "", "EDGE_API_LISTEN": "127.0.0.1:0", "EDGE_HTTP_LISTEN": "127.0.0.1:0"}


def blocks() -> list[list[str]]:
    """The commands of each block under "Install on a host", without their comments."""
    section = (PROJECT / "README.md").read_text().partition("## Install on a host")[2].partition("\n## ")[0]
    return [
        [command for line in block.splitlines() if (command := line.partition("  #")[0].strip())]
        for block in section.split("```\n")[1::2]
    ]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockDebian]:
    """A machine after the installation commands of the first block."""
    made = StockDebian(tmp_path_factory.mktemp("debian") / "root")
    made.copy_project("root/edge-controller")
    wheels = run(str(PROJECT / "scripts/wheels.sh"), timeout=300).stdout.strip()
    run("cp", "-r", wheels, str(made.root / "wheels"))
    installation = [command for command in blocks()[0] if not command.startswith("edge-controller")]
    done = made.run("\n".join(["apt-get update", "cd /root/edge-controller", *installation]), WHEELS)
    assert done.returncode == 0, done.stdout + done.stderr
    yield made
    run("rm", "-rf", str(made.root), timeout=120)


def test_the_command_is_on_the_path_and_prints_its_version(machine: StockDebian) -> None:
    done = machine.run("edge-controller version", {})
    assert (done.returncode, done.stdout.strip()) == (0, __version__), done.stderr


def test_check_reports_what_the_host_lacks(machine: StockDebian) -> None:
    done = machine.run("edge-controller check", {})
    assert "Docker" in done.stdout, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_systemd_unit_is_valid_and_can_be_enabled(machine: StockDebian) -> None:
    commands = "\n".join(blocks()[1]).replace(" --now", "")  # no systemd runs here to start it
    done = machine.run(f"cd /root/edge-controller\n{commands}\nsystemd-analyze verify edge-controller.service", {})
    assert done.returncode == 0, done.stdout + done.stderr
    enabled = machine.root / "etc/systemd/system/multi-user.target.wants/edge-controller.service"
    assert enabled.is_symlink()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_its_api_and_exits_with_0_on_a_signal(machine: StockDebian, how: signal.Signals) -> None:
    state = "/var/lib/edge-controller"
    script = f"""
        rm -rf {state}
        edge-controller run &
        until [ -s {state}/kubeconfig ]; do kill -0 $!; sleep 0.1; done
        kill -{how.value} $!
        wait $!
    """
    done = machine.run(script, ALONE, seconds=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (machine.root / state[1:] / "kubeconfig").stat().st_mode & 0o777 == 0o600


def test_the_readme_has_the_expected_commands() -> None:
    first, service, *_ = blocks()
    assert "edge-controller run" in first
    assert any(command.startswith("systemctl enable") for command in service)
    assert Path("/usr/local/bin/edge-controller") == Path(
        next(line for line in (PROJECT / "manifests/systemd/edge-controller.service").read_text().splitlines()
             if line.startswith("ExecStart=")).removeprefix("ExecStart=").split()[0]
    )  # fmt: skip
