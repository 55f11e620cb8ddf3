"""Creates a runtime with raw Docker calls: internal bridge, container on macvlan, connect, start."""

from __future__ import annotations

import time
from typing import Any

from docker.types import IPAMConfig, IPAMPool

LAN_NETWORK = "bench-raw-lan"


class RawDocker:
    """The minimal calls that create a runtime like ours, over one persistent connection."""

    def __init__(self, client: Any, image: str, parent: str, subnet: str) -> None:
        self._client = client
        self._image = image
        self._lan = client.create_network(
            LAN_NETWORK,
            driver="macvlan",
            options={"parent": parent},
            ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)]),
        )["Id"]

    def create(self, name: str, address: str, number: int) -> float:
        """Create a container; return the seconds from the first call until it runs."""
        client = self._client
        began = time.perf_counter()
        pool = IPAMPool(subnet=f"10.214.{number}.0/28")
        bridge = client.create_network(
            f"{name}-internal", driver="bridge", internal=True, ipam=IPAMConfig(pool_configs=[pool])
        )["Id"]
        container = client.create_container(
            self._image,
            name=name,
            mac_address=f"02:00:00:00:01:{number:02x}",
            host_config=client.create_host_config(network_mode=LAN_NETWORK, restart_policy={"Name": "unless-stopped"}),
            networking_config=client.create_networking_config(
                {LAN_NETWORK: client.create_endpoint_config(ipv4_address=address)}
            ),
        )["Id"]
        client.connect_container_to_network(container, bridge)
        client.start(container)
        return time.perf_counter() - began

    def remove(self, name: str) -> None:
        """Remove the container and its network."""
        self._client.remove_container(name, force=True)
        self._client.remove_network(f"{name}-internal")

    def close(self) -> None:
        """Remove the LAN network."""
        self._client.remove_network(self._lan)
