"""A private Docker engine with its own root, socket, containerd and cgroups, which leaves nothing behind.

Never touches an engine that it did not start. Needs root, dockerd, containerd and runc.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import docker
import requests

from tests.support import engine_traces, ownership
from tests.support.command import SYSTEM_PATH

PREFIX = "edge-engine-"
_FOLDERS = Path(tempfile.gettempdir())
_READY_SECONDS = 60
_POLL_SECONDS = 0.02


class EngineFailed(Exception):  # noqa: N818 - an outcome
    """The engine did not start or stop; the message ends with the last lines of its log."""


class Engine:
    """One dockerd with everything below ``root`` (a short path: a socket's path is limited to 107 characters).

    ``binary`` is the path or name of a dockerd, ``runtime`` a runc to use instead of the machine's, and ``options`` are
    further arguments of dockerd. A context manager: started on entry, removed on exit.
    """

    def __init__(
        self,
        binary: str = "dockerd",
        root: Path | None = None,
        *,
        runtime: Path | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        self.binary = binary
        self.runtime = runtime
        self.root = root or _FOLDERS / ownership.new_name(PREFIX)
        self.url = f"unix://{self.root}/docker.sock"
        self._command = [*_command(binary, self.root, runtime), *options]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Engine:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def log(self) -> Path:
        """The engine's log file."""
        return self.root / "dockerd.log"

    @property
    def process_id(self) -> int:
        """The pid of the running dockerd."""
        if self._process is None:
            raise EngineFailed("the engine is not running")
        return self._process.pid

    def client(self, timeout: int = 60) -> docker.DockerClient:
        """Return a client of this engine; the caller closes it."""
        return docker.DockerClient(base_url=self.url, timeout=timeout)

    def start(self) -> None:
        """Start and wait until the API answers. Raises EngineFailed."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # NOTIFY_SOCKET: an engine started from within a service must not report readiness for that service.
        environment = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"} | {"PATH": SYSTEM_PATH}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self._wait_ready(self._process)

    def stop(self) -> None:
        """Stop like a service manager: dockerd stops the containers first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill -9 dockerd and its containerd: containers keep running without their engine."""
        self._end(signal.SIGKILL)
        engine_traces.kill_containerd(self.root)

    def restart(self) -> None:
        """Stop and start it, with its containers that have a restart policy."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Kill everything of this engine and remove every trace; idempotent."""
        if self._process is not None:
            self.kill()
        engine_traces.remove(self.root)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_READY_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise EngineFailed(f"dockerd ignored {how.name} for {_READY_SECONDS} s; {self._last_words()}") from None

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if process.poll() is not None:
                self._process = None
                raise EngineFailed(f"dockerd ended with status {process.returncode}; {self._last_words()}")
            if time.monotonic() > deadline:
                raise EngineFailed(f"dockerd was not ready in {_READY_SECONDS} s; {self._last_words()}")
            time.sleep(_POLL_SECONDS)

    def _answers(self) -> bool:
        try:
            with docker.APIClient(base_url=self.url, version="1.41", timeout=_READY_SECONDS) as client:
                return client.ping()
        except (docker.errors.DockerException, requests.ConnectionError):
            return False

    def _last_words(self) -> str:
        return "its log ends: " + " | ".join(self.log.read_text(errors="replace").splitlines()[-5:])


def remove_orphans() -> None:
    """Remove the engines of killed test runs."""
    for root in _FOLDERS.glob(f"{PREFIX}*"):
        if ownership.is_orphan(root.name, PREFIX):
            engine_traces.remove(root)


def roots() -> list[Path]:
    """Return the existing folders of engines that this process created."""
    return [root for root in _FOLDERS.glob(f"{PREFIX}*") if ownership.is_own(root.name, PREFIX)]


def find(binary: str) -> Path | None:
    """Return the path of the dockerd with this name, or None."""
    found = shutil.which(binary, path=SYSTEM_PATH)
    return Path(found) if found else None


def _command(binary: str, root: Path, runtime: Path | None) -> list[str]:
    with_runtime = [f"--add-runtime=edge={runtime}", "--default-runtime=edge"] if runtime else []
    return [
        str(find(binary) or binary),
        f"--host=unix://{root}/docker.sock",
        f"--data-root={root}/data",
        f"--exec-root={root}/exec",
        f"--pidfile={root}/pid",
        f"--cgroup-parent=/{root.name}",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        "--iptables=false",
        "--ip6tables=false",
        "--bridge=none",
        *with_runtime,
    ]
