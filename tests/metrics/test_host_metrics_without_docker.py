"""Readings compared with a real engine's."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from controller.metrics import cgroups
from controller.metrics.containers import ContainerReader
from tests.support import ownership

MIB = 1 << 20

pytestmark = pytest.mark.docker


def test_readings_match_docker_stats(docker_client: docker.DockerClient, runtime_image: str) -> None:
    name = ownership.new_name("edge-metrics-")
    container = docker_client.containers.run(f"{runtime_image}:1", name=name, network_mode="none", detach=True)
    try:
        container.reload()
        pid = container.attrs["State"]["Pid"]
        reader = ContainerReader()
        reader.read({"plc": pid})
        usage = cgroups.resolve(pid, Path("/proc"), Path("/sys/fs/cgroup")).cpu
        before = cgroups.parse_cpu(usage.read_bytes())
        stats = container.stats(stream=False)
        assert isinstance(stats, dict)
        after = cgroups.parse_cpu(usage.read_bytes())
        reading = reader.read({"plc": pid})["plc"]
        cache = stats["memory_stats"]["stats"]
        inactive = cache.get("total_inactive_file", cache["inactive_file"])
        assert reading.memory_used == pytest.approx(stats["memory_stats"]["usage"] - inactive, abs=4 * MIB)
        assert before <= stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9 <= after
        reader.close()
    finally:
        container.remove(force=True)
