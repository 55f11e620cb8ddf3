"""A DHCP server on a test LAN: dnsmasq in the LAN's namespace; its lease file shows its view."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.support.command import SYSTEM_PATH
from tests.support.lan import Lan

SHORTEST_LEASE = 120  # seconds; the minimum of dnsmasq
_READY_SECONDS = 60


class DhcpServer:
    """Leases the addresses ``first`` to ``last`` (host numbers) of the LAN; a context manager that stops it.

    ``options`` are further options of dnsmasq. Its leases are in ``folder`` and survive a stop and start.
    """

    def __init__(
        self,
        lan: Lan,
        folder: Path,
        *options: str,
        first: int = 100,
        last: int = 150,
        lease_seconds: int = SHORTEST_LEASE,
    ) -> None:
        self._lan = lan
        self._log = folder / "dnsmasq.log"
        self._leases = folder / "dnsmasq.leases"
        self._options = options
        self._range = (first, last)
        self._lease_seconds = lease_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> DhcpServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it serves."""
        before = self.log.count("DHCP, IP range")
        first, last = (self._lan.address(number) for number in self._range)
        self._process = subprocess.Popen(
            [
                # Not `ip netns exec`: its copy of the mounts would keep containers' namespaces alive.
                *("nsenter", f"--net=/run/netns/{self._lan.namespace}", "setpriv", "--pdeathsig", "KILL", "dnsmasq"),
                *("--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--port=0"),
                *("--user=root", "--no-ping", "--dhcp-authoritative", "--log-dhcp", "--pid-file="),
                *(f"--log-facility={self._log}", f"--dhcp-leasefile={self._leases}"),
                f"--dhcp-range={first},{last},255.255.255.0,{self._lease_seconds}",
                f"--dhcp-option=option:router,{self._lan.gateway}",
                f"--dhcp-option=option:dns-server,{self._lan.gateway}",
                *self._options,
            ],
            env={"PATH": SYSTEM_PATH},
        )
        self._wait(before)

    def stop(self) -> None:
        """Stop the server; the leases stay in its file."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def forget(self) -> None:
        """Delete the lease file, as after a disk replacement; only while it is stopped."""
        self._leases.unlink(missing_ok=True)

    @property
    def log(self) -> str:
        """Return the log."""
        return self._log.read_text() if self._log.exists() else ""

    def requests(self, kind: str, mac: str) -> int:
        """Count the clients' messages of this kind (DHCPDISCOVER, DHCPREQUEST, ...)."""
        return sum(kind in line and mac in line for line in self.log.splitlines())

    def given(self) -> dict[str, tuple[str, str, str]]:
        """Return address, host name and client id by MAC address from the lease file (dnsmasq(8))."""
        lines = self._leases.read_text().splitlines() if self._leases.exists() else []
        return {mac: (address, name, client) for _, mac, address, name, client in (line.split() for line in lines)}

    def _wait(self, before: int) -> None:
        end = time.monotonic() + _READY_SECONDS
        while self.log.count("DHCP, IP range") == before:
            if time.monotonic() > end or (self._process and self._process.poll() is not None):
                raise AssertionError(f"dnsmasq does not serve: {self.log[-500:]}")
            time.sleep(0.02)
