"""``python -m scripts.demo``: a tour from a cloud command to a PLC on the LAN and back, in commands a person can type.

Runs until Ctrl-C, or with ONCE=1 in the environment until the end of the tour. With DHCP=1 a DHCP server on the LAN
assigns the address. Exit status 0 on success.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from scripts.demo import host as hosts
from scripts.demo.processes import Service, ServiceEnded, capture, service, shown
from scripts.demo.signals import end_on_signals
from scripts.demo.terminal import say, show, wait
from tests.support import ownership
from tests.support.command import CommandFailed
from tests.support.dockerd import EngineFailed
from tests.support.image_files import ImageFailed

AGENT = "demo-host"
RUNTIME = "plc-1"
_FAILURES = (
    CommandFailed,
    EngineFailed,
    ImageFailed,
    ServiceEnded,
    TimeoutError,
)


class Tour:
    """The commands of the tour on a prepared host; all their files are below ``folder``."""

    def __init__(self, host: hosts.Host, folder: Path) -> None:
        self.host = host
        self.cloud_folder = folder / "cloud"
        self.cloud_address = f"127.0.0.1:{_free_port()}"
        state = folder / "state"
        certificates = folder / "certificates"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("EDGE_")},
            "EDGE_CLOUD_URL": f"https://{self.cloud_address}",
            "EDGE_CLIENT_CERT": str(certificates / "client.crt"),
            "EDGE_CLIENT_KEY": str(certificates / "client.key"),
            "EDGE_CLOUD_CA": str(certificates / "ca.crt"),
            "EDGE_STATE_DIR": str(state),
            "EDGE_API_LISTEN": "127.0.0.1:0",
            "EDGE_HTTP_LISTEN": "127.0.0.1:0",
            "EDGE_RUNTIME_IMAGE": host.repository,
            "EDGE_RUNTIME_VERSION": host.version,
            "DOCKER_HOST": host.docker_url,
            "KUBECONFIG": str(state / "kubeconfig"),
            "KUBECACHEDIR": str(folder / "kubectl"),
        }
        self.certificates = certificates

    @property
    def serve(self) -> list[str]:
        """The arguments that start the local cloud."""
        return ["cloud", "serve", "--dir", str(self.cloud_folder), "--listen", self.cloud_address]

    def cloud(self, *arguments: str) -> list[str]:
        """The command line of a request to the local cloud."""
        return ["edge-controller", "cloud", arguments[0], "--dir", str(self.cloud_folder), *arguments[1:]]

    def enroll(self) -> None:
        """Issue a certificate for this host."""
        shown(self.cloud("enroll", AGENT, "--out", str(self.certificates)), self.environment)

    def wait_connected(self, controller: Service) -> None:
        """Wait until the controller is connected to the local cloud."""
        self._wait("the controller connects", self.cloud("agents"), AGENT, controller)

    def create_runtime(self, controller: Service) -> None:
        """Create a runtime through the cloud and wait until it is ready."""
        shown(self.cloud("send", "create_new_runtime", "--json", json.dumps(self._runtime())), self.environment)
        self._wait(f"{RUNTIME} becomes ready", self._ready("status"), "True", controller)

    def show_around(self, controller: Service) -> None:
        """Show the runtime on the LAN, with kubectl and in the cloud, and its consumption."""
        self._show_neighbour()
        say("the same state for people, GitOps and the cloud")
        shown(["kubectl", "get", "runtimes", "-o", "wide"], self.environment)
        say("the host's last heartbeat")
        shown(self.cloud("agents"), self.environment)
        say(f"a request to the control server inside {RUNTIME}")
        request = {"method": "GET", "api": "/api/status"}
        shown(self.cloud("send", "run_command", "--device", RUNTIME, "--json", json.dumps(request)), self.environment)
        say("its consumption")
        periods = {"cpuPeriod": "30m", "memoryPeriod": "30m"}
        consumption = self.cloud("send", "get_consumption_device", "--device", RUNTIME, "--json", json.dumps(periods))
        self._wait("the first samples are taken, one every 5 s", consumption, '"timestamp"', controller)
        shown(consumption, self.environment)

    def pull_the_parent(self, controller: Service) -> None:
        """Unplug the parent interface and plug it in again: the address stays, and nothing is restarted."""
        say(f"unplugging the parent interface {self.host.lan.parent}, like a USB adapter, and plugging it in again")
        self.host.lan.unplug()
        self._wait(f"{RUNTIME} reports it missing", self._ready("message"), self.host.lan.parent, controller)
        shown(["kubectl", "get", "runtime", RUNTIME], self.environment)
        self.host.lan.plug()
        self._wait(f"{RUNTIME} is ready again", self._ready("status"), "True", controller)
        self._show_neighbour()
        say("that caused no restart; a restart by the cloud is recorded")
        shown(self.cloud("send", "restart_device", "--device", RUNTIME), self.environment)
        self._wait("the restart is counted", self._get("{.status.restartCount}"), "1", controller)
        shown(self._get("{.status.restarts}"), self.environment)

    def purge(self) -> None:
        """Remove what the controller created, for the case that the engine is not a private one."""
        capture(["edge-controller", "purge", "--yes"], self.environment)

    def _runtime(self) -> dict[str, object]:
        lan = self.host.lan
        static = {"network_mode": "static", "ip": self.host.address, "subnet": str(lan.subnet), "gateway": lan.gateway}
        mode = {"network_mode": "dhcp"} if self.host.dhcp else static
        return {"container_name": RUNTIME, "vnic_configs": [{"name": "lan0", "parent_interface": lan.parent, **mode}]}

    def _show_neighbour(self) -> None:
        say(f"{RUNTIME} on the LAN, as another host sees it")
        address = capture(self._get("{.status.interfaces[0].address}"), self.environment).stdout.strip()
        show(f"{address} answers ARP with {self.host.lan.mac_of(address)}")

    def _ready(self, part: str) -> list[str]:
        return self._get(f'{{.status.conditions[?(@.type=="Ready")].{part}}}')

    def _get(self, path: str) -> list[str]:
        return ["kubectl", "get", "runtime", RUNTIME, "-o", f"jsonpath={path}"]

    def _wait(self, what: str, command: list[str], expected: str, controller: Service) -> None:
        def probe() -> str | None:
            controller.check()
            output = capture(command, self.environment).stdout
            return output if expected in output else None

        try:
            wait(what, probe, seconds=60)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; the end of the controller's log:\n{controller.last_words()}") from None


def main() -> int:
    """Run the demonstration; return the exit status."""
    end_on_signals()
    if os.geteuid() != 0:
        print("make run needs root to create a network namespace and start containers; try: sudo make run")
        return 1
    folder = Path(tempfile.gettempdir()) / ownership.new_name("edge-demo-")
    folder.mkdir(mode=0o700)
    try:
        demonstrate(folder, once=os.environ.get("ONCE") == "1", dhcp=os.environ.get("DHCP") == "1")
    except KeyboardInterrupt:
        say("stopped; everything was removed")
    except _FAILURES as failure:
        print(f"\nmake run: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def demonstrate(folder: Path, *, once: bool, dhcp: bool) -> None:
    """Set up, run the tour, and wait for Ctrl-C unless ``once``; remove everything at the end."""
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(hosts.prepared(folder, dhcp=dhcp))
        tour = Tour(host, folder)
        say("a local cloud, and a certificate for this host")
        tour.enroll()
        stack.enter_context(service("cloud", tour.serve, tour.environment, folder))
        stack.callback(tour.purge)
        say("the controller")
        controller = stack.enter_context(service("controller", ["run"], tour.environment, folder))
        tour.wait_connected(controller)
        say("one runtime, created through the cloud")
        tour.create_runtime(controller)
        tour.show_around(controller)
        if dhcp:
            tour.pull_the_parent(controller)
        if not once:
            say(f"running until Ctrl-C; try: kubectl --kubeconfig {tour.environment['KUBECONFIG']} get runtimes -w")
            controller.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
