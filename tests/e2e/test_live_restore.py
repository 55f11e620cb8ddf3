"""With live-restore, containers outlive dockerd: the controller interrupts nothing and reports no restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.localcloud.server import Cloud
from tests.support import image
from tests.support.dhcp_server import DhcpServer
from tests.support.dockerd import Engine
from tests.support.edge_host import AGENT, EdgeHost, connected, eventually
from tests.support.image import Image
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]


@pytest.fixture
def live_engine(engine: Engine) -> Iterator[Engine]:
    """An engine like the session's with live-restore."""
    with Engine(engine.binary, runtime=engine.runtime, options=("--live-restore",)) as made:
        yield made


@pytest.fixture
async def edge(
    tmp_path: Path, live_engine: Engine, runtime_images: dict[str, Image], cloud: Cloud
) -> AsyncIterator[EdgeHost]:
    """A host whose engine has live-restore."""
    with contextlib.closing(live_engine.client()) as client:
        await asyncio.to_thread(image.load, client, [runtime_images["1"]])
    host = EdgeHost(tmp_path, live_engine.url, cloud, await cloud.enroll(AGENT), image.REPOSITORY, "1")
    async with connected(host) as edge:
        yield edge


def power_cut(engine: Engine, _lan: Lan) -> None:
    """Kill dockerd and start it again."""
    engine.kill()
    engine.start()


def restart_unplugged(engine: Engine, lan: Lan) -> None:
    """Restart dockerd while the parent interface is unplugged."""
    lan.unplug()
    engine.restart()
    lan.plug()


RESTARTS: list[Callable[[Engine, Lan], None]] = [lambda engine, _: engine.restart(), power_cut, restart_unplugged]


async def test_restarts_of_dockerd_interrupt_nothing(
    edge: EdgeHost, lan: Lan, live_engine: Engine, tmp_path: Path
) -> None:
    static = {"name": "lan0", "parent_interface": lan.parent, "network_mode": "static", "ip": lan.address(60)}
    leased = {"name": "lan1", "parent_interface": lan.parent, "network_mode": "dhcp"}
    with DhcpServer(lan, tmp_path):
        vnics = [{**static, "subnet": str(lan.subnet), "gateway": lan.gateway}, leased]
        await edge.send("create_new_runtime", container_name="plc-1", vnic_configs=vnics)
        await edge.wait_condition("plc-1", "Ready")
        before = (await edge.runtime("plc-1"))["status"]
        addresses = [interface["address"] for interface in before["interfaces"]]
        for restart in RESTARTS:
            await asyncio.to_thread(restart, live_engine, lan)
            await answers(lan, addresses)
        await edge.wait_condition("plc-1", "Ready")
        assert (await edge.runtime("plc-1"))["status"]["startedAt"] == before["startedAt"]

        with contextlib.closing(live_engine.client()) as client:
            await asyncio.to_thread(client.api.stop, "plc-1", timeout=10)
        await eventually(lambda: stopped_by_hand(edge), f"the stop by hand is the only record (see {edge.log})")


async def answers(lan: Lan, addresses: list[str]) -> None:
    """Wait until all addresses answer."""

    async def all_answer() -> bool:
        return all([await asyncio.to_thread(lan.ping, address) for address in addresses])

    await eventually(all_answer, f"{addresses} answer")


async def stopped_by_hand(edge: EdgeHost) -> list[dict[str, Any]]:
    """The records after the first start, once there are any; all of a stop by hand."""
    records: list[dict[str, Any]] = (await edge.runtime("plc-1"))["status"]["restarts"]
    assert {record["cause"] for record in records[1:]} <= {"ByHand"}
    return records[1:]
