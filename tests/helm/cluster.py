"""A cluster's kubectl, helm and controller commands, as its administrator or as one of its ServiceAccounts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.helm.chart import CHART, NAMESPACE, RELEASE, Helm


class Running:
    """A command of ours in the background."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def line(self) -> str:
        """Its next line of output; empty when it has exited."""
        assert self._process.stdout
        return self._process.stdout.readline()

    def wait(self) -> int:
        """Wait for its exit; return the status."""
        self._process.communicate(timeout=90)
        return self._process.returncode

    def stop(self) -> None:
        """Kill it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


class Cluster(NamedTuple):
    """An API server and its clients."""

    program: Path
    kubeconfig: Path
    folder: Path
    helm: Helm

    def kubectl(self, *arguments: str, stdin: Any = None, fails: bool = False) -> str:
        """Run kubectl as the administrator, in the release's namespace."""
        return self._run(
            [str(self.program), "--namespace", NAMESPACE, *arguments], self.kubeconfig, stdin=stdin, fails=fails
        )

    def get(self, *arguments: str) -> dict[str, Any]:
        """``kubectl get ... -o json``."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def install(self, *options: str) -> str:
        """Install or upgrade the chart; does not wait for pods, as there are no nodes."""
        output = self.helm.run("upgrade", "--install", RELEASE, str(CHART), "-n", NAMESPACE, *options)
        self._wait_for_kinds()
        return output

    def _wait_for_kinds(self) -> None:
        """Wait until the CRDs work: the API serves them only some seconds after their Established condition."""
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        kinds, deadline = [str(self.program), "get", "runtimes,edgenodes", "-A"], time.monotonic() + 60
        while subprocess.run(
            kinds, capture_output=True, check=False, env=self._environment(self.kubeconfig)
        ).returncode:
            assert time.monotonic() < deadline, "the kinds are not served"
            time.sleep(0.2)

    def account(self, name: str) -> Path:
        """Write a kubeconfig for a ServiceAccount in the release's namespace."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        token = self.kubectl("create", "token", name, "--duration=1h").strip()
        config["users"][0]["user"] = {"token": token}
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        return path

    def controller(self, kubeconfig: Path, *arguments: str, fails: bool = False) -> str:
        """Run a command of ours as the user of a kubeconfig."""
        return self._run([sys.executable, "-m", "controller", *arguments], kubeconfig, fails=fails)

    def start(self, kubeconfig: Path, *arguments: str) -> Running:
        """Start a command of ours as the user of a kubeconfig."""
        return Running([sys.executable, "-u", "-m", "controller", *arguments], self._environment(kubeconfig))

    def _environment(self, kubeconfig: Path) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(self.folder / "cache")}

    def _run(self, command: list[str], kubeconfig: Path, *, stdin: Any = None, fails: bool = False) -> str:
        done = subprocess.run(
            command,
            input=stdin if isinstance(stdin, str) or stdin is None else json.dumps(stdin),
            capture_output=True, text=True, check=False, timeout=180,
            env=self._environment(kubeconfig),
        )  # fmt: skip
        assert (done.returncode != 0) == fails, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout + (done.stderr if fails else "")
