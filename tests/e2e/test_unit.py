"""What the systemd unit and the host limit: memory with machine code, and open files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import sys
from pathlib import Path

import pytest
import yaml

from controller.machinery.connection_limits import LOCAL
from tests.support import descriptors, unit_memory
from tests.support.edge_host import EdgeHost
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]


@pytest.mark.skipif(not unit_memory.supported(), reason="needs Linux 6.3")
async def test_a_runtime_works_without_memory_that_is_writable_and_executable(edge: EdgeHost, lan: Lan) -> None:
    await edge.stop()
    await edge.start(wrapper=[sys.executable, "-m", "tests.support.unit_memory"])
    await edge.create("plc-1", lan.parent, f"{lan.address(60)}/24")
    await edge.wait_condition("plc-1", "Ready")
    assert await asyncio.to_thread(lan.ping, lan.address(60))
    assert "Traceback" not in edge.log_text()


async def test_two_thousand_silent_connections_of_this_host_leave_the_api_usable(edge: EdgeHost) -> None:
    assert edge.process is not None
    soft, hard = resource.prlimit(edge.process.pid, resource.RLIMIT_NOFILE)
    assert soft == min(hard, 65_536)
    server = yaml.safe_load((edge.state / "kubeconfig").read_text())["clusters"][0]["cluster"]["server"]
    port = int(server.rpartition(":")[2])
    before = _descriptors(edge.process.pid)
    with descriptors.allowed(4096), contextlib.ExitStack() as silent:
        for _ in range(2000):
            silent.enter_context(await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port)))
        assert json.loads(await edge.kubectl("get", "edgenodes", "-o", "json"))["items"]
        assert _descriptors(edge.process.pid) < before + LOCAL.unauthenticated + 50


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
