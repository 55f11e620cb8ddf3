"""Servers on a real LAN that leave options out, or refuse what they offer."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from controller.network.dhcp import messages
from controller.network.dhcp.lease_manager import LeaseManager
from controller.network.dhcp.machine import LeaseProblem
from tests.network.dhcp.leasing import CLIENT, KEY, has_lease, until
from tests.support.bare_container import BareContainer
from tests.support.lan import Lan
from tests.support.lying_dhcp_server import LyingServer

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]  # needs root and a LAN, but no engine


@pytest.mark.parametrize(
    ("lease", "seconds"),
    [
        ("", 3600),
        ("00000000", 3600),
        ("0e10", 3600),
        ("00000001", 10),
        ("fffffffe", 0xFFFFFFFE),
        ("ffffffff", float("inf")),
    ],
    ids=["none", "zero", "malformed", "tiny", "huge", "infinite"],
)
async def test_any_lease_time_is_taken(
    manager: LeaseManager, container: BareContainer, lan: Lan, lease: str, seconds: float
) -> None:
    with LyingServer(lan, messages.ACK, lease=lease):
        await manager.keep(KEY, container.link, CLIENT)
        found = (await until(manager, container.link, has_lease)).lease
    assert found is not None
    assert (str(found.address.ip), found.duration) == (lan.address(100), seconds)


async def test_another_server_gives_the_lease_that_one_offers_and_refuses(
    manager: LeaseManager, container: BareContainer, lan: Lan
) -> None:
    with LyingServer(lan, messages.NAK):
        await manager.keep(KEY, container.link, CLIENT)
        await until(manager, container.link, lambda state: state.problem is LeaseProblem.DENIED)
        with LyingServer(lan, messages.ACK, server=lan.address(2)):
            found = (await until(manager, container.link, has_lease)).lease
    assert found is not None
    assert found.server == IPv4Address(lan.address(2))
