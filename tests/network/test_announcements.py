"""A container's addresses are announced to its siblings twice, and the caller waits only for the first time."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from ipaddress import IPv4Address

import pytest

from controller.api import runtimes
from controller.network import setns
from controller.network.arp import sockets
from controller.network.arp.arp_socket import ArpSocket
from controller.network.arp.packets import ArpClaim
from controller.network.desired_interface import DesiredInterface
from tests.support.bare_container import BareContainer
from tests.support.edge_host import eventually
from tests.support.lan import Lan

MAC, SIBLING = "02:00:00:00:01:41", "02:00:00:00:01:42"


@pytest.fixture
def containers(lan: Lan) -> Iterator[tuple[BareContainer, BareContainer]]:
    """Two containers on one parent."""
    with ExitStack() as stack:
        made = BareContainer(lan, MAC), BareContainer(lan, SIBLING)
        for each in made:
            stack.callback(each.end)
        yield made


async def test_siblings_hear_an_announcement_twice(lan: Lan, containers: tuple[BareContainer, BareContainer]) -> None:
    speaking, hearing = (each.link.process for each in containers)
    address = IPv4Address(lan.address(65))
    with closing(await asyncio.to_thread(setns.inside, hearing, lambda: ArpSocket("lan0"))) as arp:
        arp.listen([address])

        await sockets.announce(speaking, [desired(lan, str(address))])

        # The event loop does not run here, so what arrives was sent before announce() returned.
        select.select([arp], [], [], 5)
        assert arp.receive() == [ArpClaim(address, bytes.fromhex(MAC.replace(":", "")))]
        assert await eventually(lambda: asyncio.to_thread(arp.receive), "it is repeated", every=0.01)


def desired(lan: Lan, address: str) -> DesiredInterface:
    """The link with that address."""
    interface = runtimes.Interface(
        name="lan0", parent_interface=lan.parent, mode="Static", address=address, subnet=str(lan.subnet)
    )
    return DesiredInterface(interface, MAC, socket.if_nametoindex(lan.parent))
