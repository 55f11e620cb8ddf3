"""Leases of links in bare namespaces, from a real server: kept while a container runs, let go of when it ends."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from controller import errors
from controller.network.dhcp.client import Link
from controller.network.dhcp.lease_manager import LeaseKey, LeaseManager, LeaseState
from controller.network.dhcp.machine import Client
from tests.support.bare_container import BareContainer
from tests.support.command import run
from tests.support.descriptors import opened
from tests.support.dhcp_server import SHORTEST_LEASE, DhcpServer
from tests.support.lan import Lan
from tests.support.processes import bare

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]  # for root and a LAN, not for an engine
KEY = LeaseKey("edge", "plc-1", "lan0")
MAC = "02:ab:00:00:00:31"
CLIENT = Client(bytes.fromhex(MAC.replace(":", "")), "plc-1")


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
async def keeper(tmp_path: Path) -> AsyncIterator[LeaseManager]:
    """A keeper with a folder of its own."""
    made = LeaseManager(tmp_path / "leases")
    yield made
    made.close()


async def until(keeper: LeaseManager, link: Link, wanted: Callable[[LeaseState], bool]) -> LeaseState:
    """Wait for how the lease stands."""
    async with asyncio.timeout(30):
        changes = keeper.changes()
        while not wanted(keeper.lease_state(KEY, link)):
            await anext(changes)
        return keeper.lease_state(KEY, link)


def has_lease(lease_state: LeaseState) -> bool:
    """Whether there is one."""
    return lease_state.lease is not None


def traces() -> tuple[int, list[str]]:
    """Open files, and threads that are not of the loop's pool."""
    threads = [thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
    return opened(), threads


async def test_a_lease_stands_with_the_time_of_day(
    keeper: LeaseManager, container: BareContainer, server: DhcpServer
) -> None:
    await keeper.keep(KEY, container.link, CLIENT)

    lease_state = await until(keeper, container.link, has_lease)

    assert lease_state.lease is not None
    assert str(lease_state.lease.address.ip) == server.given()[MAC][0]
    assert 0 < lease_state.lease.expires - time.time() <= SHORTEST_LEASE
    assert lease_state.kept


async def test_asking_again_for_the_same_link_changes_nothing(
    keeper: LeaseManager, container: BareContainer, server: DhcpServer
) -> None:
    for _ in range(3):
        await keeper.keep(KEY, container.link, CLIENT)
    await until(keeper, container.link, has_lease)
    await keeper.keep(KEY, container.link, CLIENT)
    assert server.requests("DHCPDISCOVER", MAC) == 1


async def test_a_container_that_ends_is_let_go_of(
    keeper: LeaseManager, lan: Lan, container: BareContainer, server: DhcpServer
) -> None:
    await keeper.keep(KEY, container.link, CLIENT)
    await until(keeper, container.link, has_lease)

    container.end()
    await until(keeper, container.link, lambda lease_state: not lease_state.kept)

    again = BareContainer(lan, MAC)  # the same hardware address can be used again
    await keeper.keep(KEY, again.link, CLIENT)
    await until(keeper, again.link, has_lease)
    again.end()
    assert server.requests("DHCPDISCOVER", MAC) == 1


async def test_a_link_that_vanishes_is_told_of(
    keeper: LeaseManager, container: BareContainer, server: DhcpServer
) -> None:
    await keeper.keep(KEY, container.link, CLIENT)
    await until(keeper, container.link, has_lease)

    run("nsenter", "-t", str(container.link.process.pid), "-n", "ip", "link", "delete", "lan0")

    await until(keeper, container.link, lambda lease_state: not lease_state.kept)
    with pytest.raises(errors.Retry, match="No address can be asked for on lan0"):
        await keeper.keep(KEY, container.link, CLIENT)


async def test_a_link_that_was_down_for_a_while_goes_on(
    keeper: LeaseManager, container: BareContainer, server: DhcpServer
) -> None:
    server.stop()
    await keeper.keep(KEY, container.link, CLIENT)
    for state in ("down", "up"):
        run("nsenter", "-t", str(container.link.process.pid), "-n", "ip", "link", "set", "lan0", state)
    server.start()
    await until(keeper, container.link, has_lease)


async def test_the_host_itself_is_never_asked_for(keeper: LeaseManager) -> None:
    with pytest.raises(errors.Retry, match="in the host's network"):
        await keeper.keep(KEY, Link(bare(os.getpid()), "lo", 1), CLIENT)


async def test_a_file_that_cannot_be_read_costs_the_lease_of_last_time_only(
    keeper: LeaseManager, container: BareContainer, server: DhcpServer, tmp_path: Path
) -> None:
    await keeper.keep(KEY, container.link, CLIENT)
    await until(keeper, container.link, has_lease)
    keeper.close()
    (kept,) = (tmp_path / "leases").glob("*.json")
    kept.write_text('{"lease": {"address": 7}}')

    later = LeaseManager(tmp_path / "leases")
    await later.keep(KEY, container.link, CLIENT)

    await until(later, container.link, has_lease)
    later.close()


async def test_beginning_and_ending_many_times_leaves_nothing_behind(
    keeper: LeaseManager, container: BareContainer, server: DhcpServer
) -> None:
    await keeper.keep(KEY, container.link, CLIENT)
    await until(keeper, container.link, has_lease)
    before = traces()
    for _ in range(50):
        keeper.close()
        await keeper.keep(KEY, container.link, CLIENT)
        await until(keeper, container.link, has_lease)
    assert traces() == before
