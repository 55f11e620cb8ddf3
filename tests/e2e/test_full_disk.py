"""The state directory is full: a program that ends is back on its networks at once; its record follows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from controller.console.server import Cloud
from tests.support.command import run
from tests.support.dhcp_server import DhcpServer
from tests.support.dockerd import Engine
from tests.support.lan import Lan
from tests.support.site import AGENT, Site, connected, eventually

pytestmark = pytest.mark.docker

DISK_MEGABYTES = 64


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk for the state directory."""
    folder = tmp_path / "state"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(folder))
    yield folder
    run("umount", "--lazy", str(folder))


@pytest.fixture
async def host(tmp_path: Path, disk: Path, engine: Engine, runtime_image: str, cloud: Cloud) -> AsyncIterator[Site]:
    """A host whose controller keeps its state on that disk."""
    made = Site(tmp_path, engine.url, cloud, await cloud.enroll(AGENT), runtime_image, "1")
    async with connected(made) as site:
        try:
            yield site
        finally:
            (disk / "filler").unlink(missing_ok=True)


async def fill(site: Site, disk: Path) -> None:
    """Use up the disk until the API takes no write any more."""

    def write() -> None:
        with contextlib.suppress(OSError), (disk / "filler").open("ab", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    async def refused() -> bool:
        await asyncio.to_thread(write)
        told = await site.kubectl("annotate", "runtime", "plc-1", f"tried={os.urandom(4).hex()}", check=False)
        return "annotated" not in told

    await eventually(refused, "the full disk refuses a write", every=0.5)


async def created(site: Site, lan: Lan) -> list[str]:
    """The addresses of a runtime with a static and a leased interface."""
    static = {"ip": lan.address(60), "subnet": str(lan.subnet), "gateway": lan.gateway, "network_mode": "static"}
    wanted = [static | {"name": "lan0"}, {"name": "cell", "network_mode": "dhcp"}]
    parent = {"parent_interface": lan.parent}
    await site.send("create_new_runtime", container_name="plc-1", vnic_configs=[one | parent for one in wanted])
    await site.wait_condition("plc-1", "Ready")
    return [interface["address"] for interface in (await site.runtime("plc-1"))["status"]["interfaces"]]


async def test_a_program_that_ends_on_a_full_disk_is_back_on_all_its_networks(
    host: Site, disk: Path, lan: Lan, tmp_path: Path, docker_client: docker.DockerClient
) -> None:
    api: Any = docker_client.api
    with DhcpServer(lan, tmp_path):
        addresses = await created(host, lan)
        await fill(host, disk)

        async def back_after(end: Callable[[dict[str, Any]], object]) -> None:
            """End the program; it runs again and answers at all addresses."""
            before = api.inspect_container("plc-1")["State"]
            end(before)

            async def answers() -> bool:
                state = api.inspect_container("plc-1")["State"]
                again = state["Running"] and state["StartedAt"] != before["StartedAt"]
                return again and all([await asyncio.to_thread(lan.ping, one, seconds=1) for one in addresses])

            await eventually(answers, f"the runtime answers at {addresses} (see {host.log})")

        await back_after(lambda state: os.kill(state["Pid"], signal.SIGKILL))
        await back_after(lambda _: api.kill("plc-1"))
        assert (await host.runtime("plc-1"))["status"]["restartCount"] == 0

        (disk / "filler").unlink()

        async def recorded() -> bool:
            return bool((await host.runtime("plc-1"))["status"]["restartCount"] == 2)

        await eventually(recorded, f"both starts are recorded (see {host.log})", seconds=120)
    records = (await host.runtime("plc-1"))["status"]["restarts"]
    assert [(record["event"], record["cause"]) for record in records][1:] == [
        ("Stopped", "Crashed"),
        ("Started", "Crashed"),
        ("Stopped", "ByHand"),
        ("Started", "ByHand"),
    ]
