"""Servers on a real LAN that leave options out, or refuse what they offer."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.network.dhcp import messages
from controller.network.dhcp.lease_manager import LeaseKey, LeaseManager, LeaseState
from controller.network.dhcp.machine import LeaseProblem
from tests.support.bare_container import BareContainer
from tests.support.lan import Lan
from tests.support.lying_dhcp_server import LyingServer

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]  # needs root and a LAN, but no engine
KEY = LeaseKey("edge", "plc-1", "lan0")


async def answered(lan: Lan, folder: Path) -> LeaseState:
    """The first lease or problem."""
    manager, container = LeaseManager(folder / "leases"), BareContainer(lan, "02:ab:00:00:00:33")
    try:
        await manager.keep(KEY, container.link, container.client)
        async for _ in manager.changes():
            state = manager.lease_state(KEY, container.link)
            if state.lease is not None or state.problem is not None:
                break
        return state
    finally:
        manager.close()
        container.end()


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
async def test_any_lease_time_is_taken(lan: Lan, tmp_path: Path, lease: str, seconds: float) -> None:
    with LyingServer(lan, messages.ACK, lease):
        state = await answered(lan, tmp_path)
    assert state.lease is not None
    assert (str(state.lease.address.ip), state.lease.duration) == (lan.address(100), seconds)


async def test_a_server_that_refuses_what_it_offers_is_reported(lan: Lan, tmp_path: Path) -> None:
    with LyingServer(lan, messages.NAK):
        assert (await answered(lan, tmp_path)).problem is LeaseProblem.DENIED
