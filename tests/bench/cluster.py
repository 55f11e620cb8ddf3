"""Section ``cluster``: memory of a cluster's leader and of a node's agent, beside the standalone controller."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from controller.localcloud.server import Cloud
from tests.bench import process, rows
from tests.bench.rows import Figure, Row
from tests.bench.section import Run
from tests.cluster import programs
from tests.cluster.control_plane import PROGRAMS, ControlPlane
from tests.support.edge_cluster import EdgeCluster
from tests.support.edge_host import AGENT, EdgeHost, eventually

SETTLE_SECONDS = 10.0
ROLES = {"leader": "link,pods", "agent": "node"}


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    try:
        built = await asyncio.to_thread(programs.build, *PROGRAMS, "kubectl")
    except programs.Unavailable as error:
        yield rows.unmeasured("memory of a cluster's leader and agent", error)
        return
    for name, resident in (await _resident(built)).items():
        yield Row(f"memory of a cluster's {name}", rows.MEGABYTES, Figure(resident))


async def _resident(built: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="edge-roles-") as name, ControlPlane(built, Path(name) / "api") as api:
        cloud = Cloud(Path(name) / "cloud")
        await cloud.start()
        edge = EdgeCluster(Path(name), built / "kubectl", api.kubeconfig, cloud, await cloud.enroll(AGENT))
        await edge.prepare()
        try:
            replicas = {role: edge.process(role, ROLES[role]) for role in ROLES}
            for role, replica in replicas.items():
                await replica.start(connected=role == "leader")
                await _started(replica)
            await asyncio.sleep(SETTLE_SECONDS)
            return {role: process.resident_bytes(_pid(replica)) for role, replica in replicas.items()}
        finally:
            await edge.close()
            await cloud.stop()


async def _started(replica: EdgeHost) -> None:
    async def started() -> bool:
        return "Started as node" in replica.log_text()

    await eventually(started, f"the controller has started (see {replica.log})")


def _pid(replica: EdgeHost) -> int:
    assert replica.process is not None
    return replica.process.pid
