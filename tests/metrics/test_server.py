"""The HTTP port: liveness from the loops, readiness from the parts, metrics for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.errors import ApiUnavailableError, SettingError
from controller.health import Beats
from controller.metrics.containers import ContainerReading
from controller.metrics.host import HostReading
from controller.metrics.prometheus import Metrics, Sources
from controller.metrics.server import StatusServer


@dataclass
class Site:
    """The server with everything that it shows."""

    now: float = 0.0
    reason: str | None = None
    raises: Exception | None = None
    disks: dict[str, str] = field(default_factory=lambda: {"state": "", "docker": ""})
    containers: dict[str, ContainerReading] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.beats = Beats(clock=lambda: self.now)
        sources = Sources(
            host=lambda: HostReading(12.5, 1, 2, 3, 4, 5),
            containers=lambda: self.containers,
            runtimes=lambda: {("Ready", "True"): 3, ("Ready", "False"): 1},
            disks=lambda: self.disks,
        )
        self.metrics = Metrics("1.2.3", {"create_new_runtime"}, sources)
        self.server = StatusServer("127.0.0.1", 0, self.beats, {"docker": self._check}, self.metrics)

    async def _check(self) -> str | None:
        if self.raises:
            raise self.raises
        return self.reason

    async def get(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.server.port}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def values(self) -> dict[tuple[str, ...], float]:
        """Every value by the metric's name and its labels' values, labels in the order of their names."""
        _, text = await self.get("/metrics")
        families = text_string_to_metric_families(text)
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    await made.server.start()
    yield made
    await made.server.stop()


async def test_it_is_healthy_while_every_loop_turns(site: Site) -> None:
    beat = site.beats.expect("sampler", within=15)
    site.now = 15
    assert await site.get("/healthz") == (200, "ok\n")
    site.now = 20
    assert await site.get("/healthz") == (503, "sampler has not turned for 20 s (limit 15 s)\n")
    beat()
    assert await site.get("/healthz") == (200, "ok\n")


@pytest.mark.parametrize(
    ("reason", "raises", "answer"),
    [
        (None, None, (200, "ok\n")),
        ("the daemon does not answer", None, (503, "docker: the daemon does not answer\n")),
        (None, ApiUnavailableError("the API is away"), (503, "docker: the API is away\n")),
        (None, ConnectionRefusedError(), (503, "docker: ConnectionRefusedError\n")),
        (None, TimeoutError(), (503, "docker: no answer within 2 s\n")),
    ],
)
async def test_it_is_ready_when_every_part_is(
    site: Site, reason: str | None, raises: Exception | None, answer: tuple[int, str]
) -> None:
    site.reason, site.raises = reason, raises
    assert await site.get("/readyz") == answer


async def test_prometheus_reads_states_as_they_are_at_the_scrape(site: Site) -> None:
    site.containers["edge/plc"] = ContainerReading(150.0, 1024)
    values = await site.values()
    assert values["edge_host_cpu_percent",] == 12.5
    assert values["edge_runtime_cpu_percent", "edge/plc"] == 150.0
    assert values["edge_runtime_memory_bytes", "edge/plc"] == 1024
    assert values["edge_runtimes", "Ready", "True"] == 3
    assert (values["edge_disk_full", "state"], values["edge_disk_full", "docker"]) == (0, 0)
    site.disks["docker"] = "the disk of Docker is full"
    values = await site.values()
    assert (values["edge_disk_full", "state"], values["edge_disk_full", "docker"]) == (0, 1)
    assert values["edge_build_info", "1.2.3"] == 1
    site.containers.clear()
    assert ("edge_runtime_cpu_percent", "edge/plc") not in await site.values()


async def test_prometheus_reads_what_was_counted(site: Site) -> None:
    site.metrics.reconciled("done", 0.2)
    site.metrics.reconciled("done", 0.3)
    site.metrics.commanded("create_new_runtime", "success", 0.01)
    site.metrics.commanded("invented-by-a-sender", "error", 0.01)
    site.metrics.cloud_connected(True)
    site.metrics.heartbeat_sent(-0.001)
    values = await site.values()
    assert values["edge_reconcile_seconds_count", "done"] == 2
    assert values["edge_command_seconds_count", "success", "create_new_runtime"] == 1
    assert values["edge_command_seconds_count", "error", "other"] == 1
    assert values["edge_cloud_connected",] == 1
    assert values["edge_cloud_connects_total",] == 1
    assert values["edge_heartbeat_lateness_seconds_sum",] == 0
    site.metrics.cloud_connected(False)
    assert (await site.values())["edge_cloud_connected",] == 0


async def test_a_port_that_is_taken_is_said_with_its_setting(site: Site) -> None:
    second = StatusServer("127.0.0.1", site.server.port, site.beats, {}, site.metrics)
    with pytest.raises(SettingError, match=r"EDGE_HTTP_LISTEN: 127\.0\.0\.1:[0-9]+ cannot be listened on"):
        await second.start()


async def test_two_controllers_in_one_process_share_no_registry(site: Site) -> None:
    other = Site()
    other.metrics.reconciled("done", 1)
    assert b'edge_reconcile_seconds_count{outcome="done"}' not in site.metrics.render()


async def test_a_stop_waits_for_nobody(site: Site) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    port = site.server.port
    await site.server.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    writer.close()
