"""A DHCP server on the test's LAN, and what repairs networks when a lease changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.network.dhcp.lease_manager import LeaseManager
from tests.backends.conftest import BackendHarness
from tests.backends.docker.networking.leasing import Controller
from tests.support.dhcp_server import DhcpServer
from tests.support.lan import Lan


@pytest.fixture
def server(lan: Lan, tmp_path: Path) -> Iterator[DhcpServer]:
    """The DHCP server of the LAN."""
    with DhcpServer(lan, tmp_path) as running:
        yield running


@pytest.fixture
async def controller(harness: BackendHarness, leases: LeaseManager) -> AsyncIterator[Controller]:
    """Follows the leases of the test's backend."""
    async with Controller(harness, leases) as following:
        yield following
