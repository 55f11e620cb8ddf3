"""Leases from a real server in bare namespaces: renewed while a container runs, stopped when it ends."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from controller import errors
from controller.network.dhcp.client import Link
from controller.network.dhcp.lease_manager import LeaseManager
from controller.network.routes import Route
from tests.network.dhcp.leasing import CLIENT, KEY, MAC, changes_until_the_end, has_lease, until
from tests.support.bare_container import BareContainer
from tests.support.command import run
from tests.support.descriptors import opened
from tests.support.dhcp_server import SHORTEST_LEASE, DhcpServer
from tests.support.edge_host import eventually
from tests.support.lan import Lan
from tests.support.processes import bare

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]  # needs root and a LAN, but no engine


def traces() -> tuple[int, list[str]]:
    """Count open files, and threads outside the loop's pool."""
    threads = [thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
    return opened(), threads


async def test_a_lease_has_times_of_day(manager: LeaseManager, container: BareContainer, server: DhcpServer) -> None:
    await manager.keep(KEY, container.link, CLIENT)

    lease_state = await until(manager, container.link, has_lease)

    assert lease_state.lease is not None
    assert str(lease_state.lease.address.ip) == server.given()[MAC][0]
    assert 0 < lease_state.lease.expires - time.time() <= SHORTEST_LEASE
    assert lease_state.kept


async def test_a_renewal_that_changes_only_times_is_neither_written_nor_reported(
    manager: LeaseManager, container: BareContainer, lan: Lan, tmp_path: Path
) -> None:
    reported = asyncio.create_task(changes_until_the_end(manager, container.link))
    with DhcpServer(lan, tmp_path, "--dhcp-option=option:T1,5"):
        await manager.keep(KEY, container.link, CLIENT)
        first = await eventually(partial(_renewed_after, manager, container.link, 0.0), "a lease")
        await eventually(partial(_renewed_after, manager, container.link, first), "a renewal")

    container.end()

    assert await reported == ["a lease", "the end"]
    (kept,) = (tmp_path / "leases").glob("*.json")
    assert json.loads(kept.read_text())["lease"]["renewed"] == pytest.approx(first, abs=1)


async def test_a_lease_that_ends_before_the_stored_one_is_written(
    manager: LeaseManager, container: BareContainer, lan: Lan, tmp_path: Path
) -> None:
    reading = asyncio.create_task(changes_until_the_end(manager, container.link))
    with DhcpServer(lan, tmp_path, "--dhcp-option=option:T1,5", lease_seconds=7200):
        await manager.keep(KEY, container.link, CLIENT)
        await eventually(partial(_renewed_after, manager, container.link, 0.0), "a lease")
    with DhcpServer(lan, tmp_path, "--dhcp-option=option:T1,5"):
        await eventually(partial(_stored_seconds, tmp_path, SHORTEST_LEASE), "the shorter lease on disk")
    container.end()
    await reading


async def test_a_lease_is_written_again_once_the_clock_was_set(
    container: BareContainer, lan: Lan, tmp_path: Path
) -> None:
    ahead = [3600.0]
    manager = LeaseManager(tmp_path / "leases", wall=lambda: time.time() + ahead[0])
    reading = asyncio.create_task(changes_until_the_end(manager, container.link))
    with DhcpServer(lan, tmp_path, "--dhcp-option=option:T1,5"):
        await manager.keep(KEY, container.link, CLIENT)
        await eventually(partial(_stored_end_is_before, tmp_path, time.time() + 7200), "a lease")
        ahead[0] = 0.0
        await eventually(partial(_stored_end_is_before, tmp_path, time.time() + 1800), "its true end on disk")
    container.end()
    await reading


async def test_what_is_known_of_a_deleted_runtimes_leases_is_dropped(
    manager: LeaseManager, container: BareContainer, server: DhcpServer
) -> None:
    reading = asyncio.create_task(changes_until_the_end(manager, container.link))
    await manager.keep(KEY, container.link, CLIENT)
    await eventually(lambda: asyncio.sleep(0, KEY in manager._written), "the stored lease")
    manager.forget(KEY.namespace, KEY.device_id)
    assert not manager._written
    reading.cancel()


async def _stored_end_is_before(tmp_path: Path, end: float) -> bool:
    found = [json.loads(path.read_text())["lease"] for path in (tmp_path / "leases").glob("*.json")]
    return any(lease["renewed"] + lease["duration"] < end for lease in found)


async def _stored_seconds(tmp_path: Path, seconds: int) -> bool:
    (kept,) = (tmp_path / "leases").glob("*.json")
    return bool(json.loads(kept.read_text())["lease"]["duration"] == seconds)


async def _renewed_after(manager: LeaseManager, link: Link, time_of_day: float) -> float | None:
    lease = manager.lease_state(KEY, link).lease
    return lease.renewed if lease and lease.renewed > time_of_day + 1 else None


async def test_keeping_the_same_link_again_changes_nothing(
    manager: LeaseManager, container: BareContainer, server: DhcpServer
) -> None:
    for _ in range(3):
        await manager.keep(KEY, container.link, CLIENT)
    await until(manager, container.link, has_lease)
    await manager.keep(KEY, container.link, CLIENT)
    assert server.requests("DHCPDISCOVER", MAC) == 1


async def test_a_server_can_lease_a_single_address_with_routes(
    manager: LeaseManager, container: BareContainer, lan: Lan, tmp_path: Path
) -> None:
    options = f"--dhcp-option=121,172.16.0.0/16,{lan.gateway},0.0.0.0/0,{lan.gateway}"
    with DhcpServer(lan, tmp_path, "--dhcp-option=option:netmask,255.255.255.255", options):
        await manager.keep(KEY, container.link, CLIENT)
        lease = (await until(manager, container.link, has_lease)).lease
    assert lease is not None
    gateway = IPv4Address(lan.gateway)
    assert (lease.address.network.prefixlen, lease.gateway) == (32, gateway)
    assert lease.routes == (Route(IPv4Network("172.16.0.0/16"), gateway),)


async def test_the_end_of_a_container_releases_its_namespace(
    manager: LeaseManager, lan: Lan, container: BareContainer, server: DhcpServer
) -> None:
    await manager.keep(KEY, container.link, CLIENT)
    await until(manager, container.link, has_lease)

    container.end()
    await until(manager, container.link, lambda lease_state: not lease_state.kept)

    again = BareContainer(lan, MAC)  # the same hardware address can be used again
    await manager.keep(KEY, again.link, CLIENT)
    await until(manager, again.link, has_lease)
    again.end()
    assert server.requests("DHCPDISCOVER", MAC) == 1


async def test_a_link_that_vanishes_is_reported(
    manager: LeaseManager, container: BareContainer, server: DhcpServer
) -> None:
    await manager.keep(KEY, container.link, CLIENT)
    await until(manager, container.link, has_lease)

    run("nsenter", "-t", str(container.link.process.pid), "-n", "ip", "link", "delete", "lan0")

    await until(manager, container.link, lambda lease_state: not lease_state.kept)
    with pytest.raises(errors.Retry, match="Cannot request an address on lan0"):
        await manager.keep(KEY, container.link, CLIENT)


async def test_a_link_that_was_down_keeps_its_client(
    manager: LeaseManager, container: BareContainer, server: DhcpServer
) -> None:
    server.stop()
    await manager.keep(KEY, container.link, CLIENT)
    for state in ("down", "up"):
        run("nsenter", "-t", str(container.link.process.pid), "-n", "ip", "link", "set", "lan0", state)
    server.start()
    await until(manager, container.link, has_lease)


async def test_no_lease_is_requested_for_the_host_itself(manager: LeaseManager) -> None:
    with pytest.raises(errors.Retry, match="in the host's network"):
        await manager.keep(KEY, Link(bare(os.getpid()), "lo", 1), CLIENT)


async def test_an_unreadable_file_only_loses_the_previous_lease(
    manager: LeaseManager, container: BareContainer, server: DhcpServer, tmp_path: Path
) -> None:
    await manager.keep(KEY, container.link, CLIENT)
    await until(manager, container.link, has_lease)
    manager.close()
    (kept,) = (tmp_path / "leases").glob("*.json")
    kept.write_text('{"lease": {"address": 7}}')

    later = LeaseManager(tmp_path / "leases")
    await later.keep(KEY, container.link, CLIENT)

    await until(later, container.link, has_lease)
    later.close()


async def test_many_starts_and_stops_leak_nothing(
    manager: LeaseManager, container: BareContainer, server: DhcpServer
) -> None:
    await manager.keep(KEY, container.link, CLIENT)
    await until(manager, container.link, has_lease)
    files, threads = traces()
    for _ in range(50):
        manager.close()
        await manager.keep(KEY, container.link, CLIENT)
        await until(manager, container.link, has_lease)

    async def closed() -> bool:
        # Fewer files is fine: the socket of the first lease's probe may still have been open.
        return traces()[0] <= files and traces()[1] == threads

    await eventually(closed, "everything is closed")
