"""The host that most sections measure: a private engine with the test image, a LAN, a cloud, and a controller."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from controller.localcloud.server import Cloud
from tests.bench.section import Run
from tests.support import image
from tests.support.dockerd import Engine
from tests.support.edge_host import AGENT, EdgeHost
from tests.support.lan import Lan

FIRST_HOST = 10  # host number of the first runtime that populate() creates
IMAGE = f"{image.REPOSITORY}:1"


class Host(NamedTuple):
    """A host whose controller is not started yet; ``docker`` is the low-level client of its engine."""

    engine: Engine
    lan: Lan
    cloud: Cloud
    edge: EdgeHost
    docker: Any
    folder: Path
    run: Run

    async def start(self, *, connected: bool = True) -> None:
        """Start the controller, which ends with this process even if that is killed."""
        wrapper = ("setpriv", "--pdeathsig", "KILL", *self.run.wrapper.command)
        await self.edge.start(self.run.wrapper.environment, connected=connected, wrapper=wrapper)

    @property
    def process_id(self) -> int:
        """The pid of the running controller."""
        assert self.edge.process is not None
        return self.edge.process.pid

    async def create(self, name: str, number: int) -> dict[str, Any]:
        """Create a runtime with the LAN's address of this host number; return the answer."""
        return await self.edge.create(name, self.lan.parent, f"{self.lan.address(number)}/24")

    async def remove(self, name: str) -> None:
        """Delete a runtime and wait until it is gone."""
        await self.edge.send("delete_device", device_id=name)
        await self.edge.wait_gone(name)

    async def populate(self, count: int) -> list[str]:
        """Start ``count`` runtimes; return their addresses."""
        names = {f"plc-{number}": FIRST_HOST + number for number in range(count)}
        for name, number in names.items():
            await self.create(name, number)
        for name in names:
            await self.edge.wait_running(name, seconds=600)
        return [self.lan.address(number) for number in names.values()]


@contextlib.asynccontextmanager
async def host(run: Run, **environment: str) -> AsyncIterator[Host]:
    """A host; ``environment`` are settings of its controller. Everything is removed at the end."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-bench-")))
        engine = stack.enter_context(Engine())
        lan = stack.enter_context(Lan())
        client = stack.enter_context(contextlib.closing(engine.client()))
        image.load(client, image.runtime_images())
        cloud = Cloud(folder / "cloud")
        await cloud.start()
        edge = EdgeHost(folder, engine.url, cloud, await cloud.enroll(AGENT), image.REPOSITORY, "1")
        edge.environment |= environment
        try:
            yield Host(engine, lan, cloud, edge, client.api, folder, run)
        finally:
            await edge.close()
            await cloud.stop()
