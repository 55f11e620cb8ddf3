"""Section ``failover``: how long the cloud is disconnected when the leader of two replicas is killed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from controller.localcloud.server import Cloud
from tests.bench import rows
from tests.bench.rows import Goal, Row
from tests.bench.section import Run
from tests.cluster import programs
from tests.cluster.control_plane import PROGRAMS, ControlPlane
from tests.support.edge_cluster import EdgeCluster
from tests.support.edge_host import AGENT, EdgeHost, eventually

PATIENCE_SECONDS = 60.0


async def measure(run: Run) -> AsyncGenerator[Row]:
    """The rows of the section."""
    what = "leader killed to the other connected"
    try:
        taken = await _seconds(run.counts.failovers)
    except programs.Unavailable as error:
        yield rows.unmeasured(what, error)
    else:
        yield Row(what, rows.SECONDS, rows.median(taken), goal=Goal(15.0))


async def _seconds(rounds: int) -> list[float]:
    """The time from each SIGKILL to the other replica's connection. Raises programs.Unavailable."""
    built = programs.build(*PROGRAMS, "kubectl")
    with tempfile.TemporaryDirectory(prefix="edge-failover-") as name, ControlPlane(built, Path(name) / "api") as api:
        cloud = Cloud(Path(name) / "cloud")
        await cloud.start()
        edge = EdgeCluster(Path(name), built / "kubectl", api.kubeconfig, cloud, await cloud.enroll(AGENT))
        await edge.prepare()
        try:
            return [await _one(edge, str(number)) for number in range(rounds)]
        finally:
            await edge.close()
            await cloud.stop()


async def _one(edge: EdgeCluster, name: str) -> float:
    """One round with two new replicas, the first of which leads."""
    first, second = (edge.process(f"{which}-{name}", "link,pods") for which in ("first", "second"))
    await first.start()
    await second.start(connected=False)
    await _waits(second)
    began = time.perf_counter()
    await first.kill()
    await edge.cloud.wait_agent(AGENT, timeout=PATIENCE_SECONDS)
    taken = time.perf_counter() - began
    await second.stop()
    return taken


async def _waits(replica: EdgeHost) -> None:
    """Wait until it takes part in the election."""

    async def started() -> bool:
        return "Started as node" in replica.log_text()

    await eventually(started, "the second replica has started")
