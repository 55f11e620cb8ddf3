"""The HTTP port: liveness from the loops, readiness from the parts, metrics for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.errors import ApiUnavailableError, SettingError
from controller.machinery.supervisor import Liveness
from controller.metrics.containers import ContainerReading
from controller.metrics.host import HostReading
from controller.metrics.prometheus import Metrics, Sources
from controller.metrics.server import StatusServer


@dataclass
class Harness:
    """The server with everything that it serves."""

    now: float = 0.0
    reason: str | None = None
    raises: Exception | None = None
    disks: dict[str, str] = field(default_factory=lambda: {"state": "", "docker": ""})
    containers: dict[str, ContainerReading] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.liveness = Liveness(clock=lambda: self.now)
        sources = Sources(
            host=lambda: HostReading(12.5, 1, 2, 3, 4, 5),
            containers=lambda: self.containers,
            runtimes=lambda: {("Ready", "True"): 3, ("Ready", "False"): 1},
            disks=lambda: self.disks,
        )
        self.metrics = Metrics("1.2.3", sources)
        self.server = StatusServer("127.0.0.1", 0, self.liveness, {"docker": self._check}, self.metrics)

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
        """Return every value by metric name and label values, in the order of the label names."""
        _, text = await self.get("/metrics")
        families = text_string_to_metric_families(text)
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    made = Harness()
    await made.server.start()
    yield made
    await made.server.stop()


async def test_it_is_healthy_while_every_loop_runs(harness: Harness) -> None:
    beat = harness.liveness.expect("sampler", within=15)
    harness.now = 15
    assert await harness.get("/healthz") == (200, "ok\n")
    harness.now = 20
    assert await harness.get("/healthz") == (503, "sampler has been stuck for 20 s (limit 15 s)\n")
    beat()
    assert await harness.get("/healthz") == (200, "ok\n")


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
async def test_it_is_ready_if_every_part_is(
    harness: Harness, reason: str | None, raises: Exception | None, answer: tuple[int, str]
) -> None:
    harness.reason, harness.raises = reason, raises
    assert await harness.get("/readyz") == answer


async def test_states_are_read_at_the_scrape(harness: Harness) -> None:
    harness.containers["edge/plc"] = ContainerReading(150.0, 1024)
    values = await harness.values()
    assert values["edge_host_cpu_percent",] == 12.5
    assert values["edge_runtime_cpu_percent", "edge/plc"] == 150.0
    assert values["edge_runtime_memory_bytes", "edge/plc"] == 1024
    assert values["edge_runtimes", "Ready", "True"] == 3
    assert (values["edge_disk_full", "state"], values["edge_disk_full", "docker"]) == (0, 0)
    harness.disks["docker"] = "the disk of Docker is full"
    values = await harness.values()
    assert (values["edge_disk_full", "state"], values["edge_disk_full", "docker"]) == (0, 1)
    assert values["edge_build_info", "1.2.3"] == 1
    harness.containers.clear()
    assert ("edge_runtime_cpu_percent", "edge/plc") not in await harness.values()


async def test_events_are_counted(harness: Harness) -> None:
    harness.metrics.observe_reconcile("done", 0.2)
    harness.metrics.observe_reconcile("done", 0.3)
    harness.metrics.observe_command("create_new_runtime", "success", 0.01)
    harness.metrics.cloud_connected(True)
    harness.metrics.heartbeat_sent(-0.001)
    values = await harness.values()
    assert values["edge_reconcile_seconds_count", "done"] == 2
    assert values["edge_command_seconds_count", "success", "create_new_runtime"] == 1
    assert values["edge_cloud_connected",] == 1
    assert values["edge_cloud_connects_total",] == 1
    assert values["edge_heartbeat_lateness_seconds_sum",] == 0
    harness.metrics.cloud_connected(False)
    assert (await harness.values())["edge_cloud_connected",] == 0


async def test_a_port_in_use_is_reported_with_its_setting(harness: Harness) -> None:
    second = StatusServer("127.0.0.1", harness.server.port, harness.liveness, {}, harness.metrics)
    with pytest.raises(SettingError, match=r"EDGE_HTTP_LISTEN: cannot listen on 127\.0\.0\.1:[0-9]+"):
        await second.start()


async def test_two_controllers_in_one_process_share_no_registry(harness: Harness) -> None:
    other = Harness()
    other.metrics.observe_reconcile("done", 1)
    assert b'edge_reconcile_seconds_count{outcome="done"}' not in harness.metrics.render()


async def test_a_stop_does_not_wait_for_clients(harness: Harness) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", harness.server.port)
    port = harness.server.port
    await harness.server.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    writer.close()
