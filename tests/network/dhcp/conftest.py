"""A server, two machines and a lease manager on the test's LAN."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.network.dhcp.lease_manager import LeaseManager
from tests.network.dhcp.leasing import MAC
from tests.support.bare_container import BareContainer
from tests.support.dhcp_server import DhcpServer
from tests.support.lan import Lan


@pytest.fixture
def server(lan: Lan, tmp_path: Path) -> Iterator[DhcpServer]:
    """The DHCP server of the LAN."""
    with DhcpServer(lan, tmp_path) as running:
        yield running


@pytest.fixture
def container(lan: Lan) -> Iterator[BareContainer]:
    """A container with a link on the LAN."""
    made = BareContainer(lan, MAC)
    yield made
    made.end()


@pytest.fixture
def other(lan: Lan) -> Iterator[BareContainer]:
    """Another machine on the LAN."""
    made = BareContainer(lan, "02:ab:00:00:00:32")
    yield made
    made.end()


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[LeaseManager]:
    """A lease manager with its own folder."""
    made = LeaseManager(tmp_path / "leases")
    yield made
    made.close()
