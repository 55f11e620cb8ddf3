"""What the parts of the Docker backend share: the engine, and what one installation has on it and on the host."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network

from controller.backends.docker.containers import Containers
from controller.backends.docker.dedication import Dedication
from controller.backends.docker.engine import Engine
from controller.backends.docker.host import Host
from controller.backends.docker.leasing import Leasing
from controller.backends.docker.networks import Networks
from controller.backends.docker.occupancy import Occupancy
from controller.backends.docker.ports import Ports
from controller.network.interfaces import HostInterfaces
from controller.network.parents import Parents


@dataclass(frozen=True)
class Parts:
    """Each of them once for one installation; they remember what they saw."""

    engine: Engine
    containers: Containers
    networks: Networks
    occupancy: Occupancy
    ports: Ports
    leasing: Leasing
    dedication: Dedication
    parents: Parents


def assemble(engine: Engine, install_id: str, internal_pool: IPv4Network, host: Host, parents: Parents | None) -> Parts:
    """The parts of this installation; nothing is asked yet."""
    containers, networks = Containers(engine), Networks(engine, install_id, internal_pool)
    interfaces = HostInterfaces(internal_pool)
    return Parts(
        engine=engine,
        containers=containers,
        networks=networks,
        occupancy=Occupancy(host.guard),
        ports=Ports(containers, host.devices),
        leasing=Leasing(host.leases),
        dedication=Dedication(host.lending, networks, partial(interfaces.snapshot, include_virtual=True)),
        parents=parents or Parents(install_id, is_internal=interfaces.is_internal),
    )
