"""While no file can be written, a crashed program regains its networks at once and is recorded later."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.dhcp_server import DhcpServer
from tests.support.edge_host import EdgeHost, eventually
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine, pytest.mark.timeout(300)]


@contextmanager
def unwritable(edge: EdgeHost) -> Iterator[None]:
    """Make every file write of the controller fail, as on a broken disk: even its reserve is unusable."""
    assert edge.process is not None
    pid, unlimited = edge.process.pid, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


async def created(edge: EdgeHost, lan: Lan) -> list[str]:
    """Create a runtime with a static and a leased interface and return its addresses."""
    static = {"ip": lan.address(60), "subnet": str(lan.subnet), "gateway": lan.gateway, "network_mode": "static"}
    configs = [static | {"name": "lan0"}, {"name": "cell", "network_mode": "dhcp"}]
    parent = {"parent_interface": lan.parent}
    await edge.send("create_new_runtime", container_name="plc-1", vnic_configs=[one | parent for one in configs])
    await edge.wait_condition("plc-1", "Ready")
    return [interface["address"] for interface in (await edge.runtime("plc-1"))["status"]["interfaces"]]


async def test_a_crashed_program_regains_its_networks_while_no_file_can_be_written(
    edge: EdgeHost, lan: Lan, tmp_path: Path, docker_api: Any
) -> None:
    async def back_after(end: Callable[[dict[str, Any]], object]) -> None:
        """Stop the program and wait until it runs again and answers at all addresses."""
        before = docker_api.inspect_container("plc-1")["State"]
        end(before)

        async def answers() -> bool:
            state = docker_api.inspect_container("plc-1")["State"]
            again = state["Running"] and state["StartedAt"] != before["StartedAt"]
            return again and all([await asyncio.to_thread(lan.ping, one, seconds=1) for one in addresses])

        await eventually(answers, f"the runtime answers at {addresses} (see {edge.log})")

    async def recorded() -> bool:
        return bool((await edge.runtime("plc-1"))["status"]["restartCount"] == 2)

    with DhcpServer(lan, tmp_path):
        addresses = await created(edge, lan)
        with unwritable(edge):
            await back_after(lambda state: os.kill(state["Pid"], signal.SIGKILL))
            await back_after(lambda _: docker_api.kill("plc-1"))
            assert (await edge.runtime("plc-1"))["status"]["restartCount"] == 0
        await eventually(recorded, f"both starts are recorded (see {edge.log})", seconds=120)
    records = (await edge.runtime("plc-1"))["status"]["restarts"]
    events = [(record["event"], record["cause"]) for record in records][1:]
    # The engine keeps only the last exit: one that no pass observed before the next is not recorded.
    assert events[:-3] in ([], [("Stopped", "Crashed")])
    assert events[-3:] == [("Started", "Crashed"), ("Stopped", "ByHand"), ("Started", "ByHand")]
