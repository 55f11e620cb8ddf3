"""One edge host under test: the controller as a real process, with a local cloud and kubectl.

The process gets its settings as environment variables, like a service. It can be stopped, killed and restarted; the
state directory, the cloud and the engine stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from tests.support import command

AGENT = "07048933"
NAMESPACE = "edge"

Found = TypeVar("Found")
Made = TypeVar("Made", bound="EdgeHost")


async def eventually(
    probe: Callable[[], Awaitable[Found | None]], what: str, *, seconds: float = 60, every: float = 0.1
) -> Found:
    """Return the first truthy result of ``probe``; raises AssertionError with the last one on timeout."""
    deadline = time.monotonic() + seconds
    while True:
        last = await probe()
        if last:
            return last
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {last!r}")
        await asyncio.sleep(every)


@contextlib.asynccontextmanager
async def connected(edge: Made) -> AsyncIterator[Made]:
    """Yield the host while its controller is connected, and purge what is left afterwards."""
    try:
        await edge.start()
        yield edge
    finally:
        await edge.close()
        await edge.purge()


class EdgeHost:
    """A controller process with everything around it.

    ``cloud`` is a started localcloud.server.Cloud; ``certificates`` has the agent's client.crt, client.key and ca.crt;
    ``module`` is what ``python -m`` runs.
    """

    def __init__(
        self,
        directory: Path,
        docker_url: str,
        cloud: Any,
        certificates: Path,
        image: str,
        version: str,
        module: str = "controller",
    ) -> None:
        self.module = module
        self.directory = directory
        self.cloud = cloud
        self.state = directory / "state"
        self.log = directory / "controller.log"
        self.process: asyncio.subprocess.Process | None = None
        self._correlation = 0
        self.environment = {
            "EDGE_CLOUD_URL": f"https://localhost:{cloud.port}",
            "EDGE_CLIENT_CERT": str(certificates / "client.crt"),
            "EDGE_CLIENT_KEY": str(certificates / "client.key"),
            "EDGE_CLOUD_CA": str(certificates / "ca.crt"),
            "EDGE_STATE_DIR": str(self.state),
            "EDGE_API_LISTEN": "127.0.0.1:0",
            "EDGE_HTTP_LISTEN": "127.0.0.1:0",
            "EDGE_NODE_NAME": "test-node",
            "EDGE_RUNTIME_IMAGE": image,
            "EDGE_RUNTIME_VERSION": version,
            "EDGE_LOG_FORMAT": "json",
            "DOCKER_HOST": docker_url,
        }

    # -- the process -------------------------------------------------------------------------------------------

    async def start(
        self, environment: Mapping[str, str] | None = None, *, connected: bool = True, wrapper: Sequence[str] = ()
    ) -> None:
        """Start the controller and, if ``connected``, wait for its connection; ``wrapper`` precedes the command."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_")}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *wrapper,
                sys.executable,
                "-m",
                self.module,
                "run",
                env={**inherited, **self.environment, **(environment or {})},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if connected:
            await self.cloud.wait_agent(AGENT, timeout=60)

    async def kill(self) -> None:
        """Kill the controller like a power cut; the rest keeps running."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGKILL)
            await self.process.wait()
        await self._wait_disconnected()

    async def _wait_disconnected(self) -> None:
        """Wait for the end of the killed process's connection, so that the next start waits for its own."""

        async def gone() -> bool:
            return self.cloud.agents.session(AGENT) is None

        await eventually(gone, "the cloud notices that the agent is gone")

    async def stop(self) -> int:
        """Stop the controller cleanly; return the exit status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 30)

    async def close(self) -> None:
        """Stop the process, regardless of its state."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(TimeoutError):
                await self.stop()
            await self.kill()

    async def purge(self) -> None:
        """Remove what the controller created in the engine, with its own command."""
        done = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "controller",
            "purge",
            "--yes",
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert await asyncio.wait_for(done.wait(), 60) == 0, "purge failed"

    def log_text(self) -> str:
        """Return the controller's log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    async def imports_once_kopf_runs(self) -> set[str]:
        """The modules that the process has imported when it has loaded kopf; it needs PYTHONPROFILEIMPORTTIME."""

        async def found() -> set[str] | None:
            lines = self.log_text().splitlines()
            modules = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
            return modules if "kopf" in modules else None

        return await eventually(found, f"kopf runs (see {self.log})")

    # -- the cloud ---------------------------------------------------------------------------------------------

    def message(self, topic: str, **fields: Any) -> dict[str, Any]:
        """Return a complete message for a topic."""
        self._correlation += 1
        requested_at = datetime.now(UTC).isoformat()
        return {"correlation_id": self._correlation, "action": topic, "requested_at": requested_at, **fields}

    async def send(self, topic: str, *, timeout: float = 45, **fields: Any) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        answer: dict[str, Any] = await self.cloud.send(AGENT, topic, self.message(topic, **fields), timeout=timeout)
        return answer

    async def create(self, name: str, parent: str, address: str, **fields: Any) -> dict[str, Any]:
        """Create one runtime with one static interface on ``parent``; ``address`` is in CIDR form."""
        ip, prefix = address.split("/")
        network = ip.rsplit(".", 1)[0]
        interface = {
            "name": "lan0",
            "parent_interface": parent,
            "network_mode": "static",
            "ip": ip,
            "subnet": f"{network}.0/{prefix}",
            "gateway": f"{network}.1",
        }
        return await self.send("create_new_runtime", container_name=name, vnic_configs=[interface], **fields)

    async def status(self, name: str) -> dict[str, Any]:
        """Return the answer of get_device_status."""
        return await self.send("get_device_status", device_id=name)

    async def wait_running(self, name: str, *, seconds: float = 60) -> dict[str, Any]:
        """Wait until the cloud sees the runtime running; return its last status."""

        async def running() -> dict[str, Any] | None:
            answer = await self.status(name)
            return answer if answer.get("is_running") and answer["status"] == "success" else None

        return await eventually(running, f"{name} runs (see {self.log})", seconds=seconds)

    async def wait_gone(self, name: str, *, seconds: float = 60) -> None:
        """Wait until the cloud no longer knows the runtime."""

        async def gone() -> bool:
            return bool((await self.status(name))["status"] == "not_found")

        await eventually(gone, f"{name} is gone (see {self.log})", seconds=seconds)

    # -- kubectl -----------------------------------------------------------------------------------------------

    async def kubectl(
        self,
        *arguments: str,
        stdin: str | None = None,
        check: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run kubectl with the controller's kubeconfig; return its output."""
        kubectl = Path(sys.executable).parent / "kubectl"
        whole = {
            **(environment or {}),
            "KUBECONFIG": str(self.state / "kubeconfig"),
            "KUBECACHEDIR": str(self.directory / "kube"),
        }
        done = await asyncio.to_thread(
            command.run, str(kubectl), *arguments, stdin=stdin, environment=whole, timeout=60, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    async def runtime(self, name: str) -> dict[str, Any]:
        """Return the Runtime from kubectl."""
        found: dict[str, Any] = json.loads(await self.kubectl("get", "runtime", name, "-o", "json"))
        return found

    async def wait_condition(self, name: str, condition: str, *, seconds: int = 60) -> None:
        """Run ``kubectl wait --for=condition=...``."""
        await self.kubectl("wait", f"runtime/{name}", f"--for=condition={condition}", f"--timeout={seconds}s")
