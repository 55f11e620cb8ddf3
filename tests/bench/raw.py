"""Creates, starts and stops a runtime with raw Docker calls: the same container as ours, and nothing around it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from docker.types import IPAMConfig, IPAMPool, LogConfig, Mount

from tests.bench.host import IMAGE
from tests.support.lan import Lan

LAN_NETWORK = "bench-raw-lan"


class RawDocker:
    """The minimal calls that create a runtime like ours, over one persistent connection."""

    def __init__(self, client: Any, lan: Lan) -> None:
        self._client = client
        self.lan = lan

    def prepare(self) -> None:
        """Create the LAN's network, which runtimes share."""
        self._client.create_network(
            LAN_NETWORK,
            driver="macvlan",
            options={"parent": self.lan.parent},
            ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(self.lan.subnet))]),
        )

    def create(self, name: str, number: int) -> None:
        """Create and start a container with its internal network and the LAN's address of this host number."""
        client, bridge = self._client, f"{name}-internal"
        pool = IPAMPool(subnet=f"10.214.{number}.0/28")
        client.create_network(bridge, driver="bridge", internal=True, ipam=IPAMConfig(pool_configs=[pool]))
        endpoint = client.create_endpoint_config(ipv4_address=self.lan.address(number))
        container = client.create_container(
            IMAGE,
            name=name,
            mac_address=f"02:00:00:00:01:{number:02x}",
            host_config=client.create_host_config(**_options(name)),
            networking_config=client.create_networking_config({LAN_NETWORK: endpoint}),
        )["Id"]
        client.connect_container_to_network(container, bridge)
        client.start(container)

    def start(self, name: str) -> None:
        """Start the container."""
        self._client.start(name)

    def stop(self, name: str) -> None:
        """Stop the container with the grace period of a Runtime."""
        self._client.stop(name, timeout=10)

    def restart(self, name: str) -> None:
        """Restart the container with the grace period of a Runtime."""
        self._client.restart(name, timeout=10)

    def remove(self, name: str) -> None:
        """Remove the container, its network and its volume."""
        self._client.remove_container(name, force=True)
        self._client.remove_network(f"{name}-internal")
        self._client.remove_volume(f"{name}-runtime")


@contextlib.contextmanager
def raw_docker(client: Any) -> Iterator[RawDocker]:
    """Raw Docker on a LAN of its own, because a parent interface has one macvlan network."""
    with Lan() as lan:
        raw = RawDocker(client, lan)
        raw.prepare()
        try:
            yield raw
        finally:
            client.remove_network(LAN_NETWORK)


def _options(name: str) -> dict[str, Any]:
    """The options of a runtime with the default template, but for realtime, which some hosts refuse."""
    return {
        "network_mode": LAN_NETWORK,
        "restart_policy": {"Name": "unless-stopped"},
        "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
        "mounts": [Mount("/var/run/runtime", f"{name}-runtime")],
        "pids_limit": 4096,
        "sysctls": {"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"},
    }
