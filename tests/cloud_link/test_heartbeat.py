"""The heartbeat's grid, and what it takes acknowledgements for. In virtual time: seconds here cost nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from controller.cloud.heartbeat import PROBES, Heartbeat
from controller.errors import LinkError
from tests.support import virtual_time
from tests.support.virtual_time import VirtualTimeLoop


class Cloud:
    """Receives beats, and acknowledges them while ``acknowledging``."""

    def __init__(self, *, acknowledging: bool) -> None:
        self.acknowledging = acknowledging
        self.times: list[float] = []
        self.payloads: list[Mapping[str, Any]] = []
        self.asked: list[bool] = []

    async def emit(self, event: str, payload: Mapping[str, Any], callback: Callable[..., None] | None) -> None:
        assert event == "heartbeat"
        self.times.append(asyncio.get_running_loop().time())
        self.payloads.append(payload)
        self.asked.append(callback is not None)
        if callback and self.acknowledging:
            callback()


def _figures(agent_id: str) -> dict[str, Any]:
    return {"agent_id": agent_id, "cpu_usage": 1.5}


async def _beat(heartbeat: Heartbeat, cloud: Cloud, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await heartbeat.run("07048933", cloud.emit)


def test_beats_stand_on_a_grid_that_begins_with_the_connection() -> None:
    cloud = Cloud(acknowledging=True)
    virtual_time.run(_beat(Heartbeat(_figures), cloud, 21))
    assert cloud.times == [0, 5, 10, 15, 20]
    assert cloud.payloads[0] == {"agent_id": "07048933", "cpu_usage": 1.5}


def test_beats_that_were_late_neither_shift_the_grid_nor_come_in_a_burst() -> None:
    cloud = Cloud(acknowledging=True)
    late: list[float] = []

    def stalling(agent_id: str) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.now += 12 if len(cloud.times) == 1 else 0  # the process was stopped for 12 s
        return _figures(agent_id)

    virtual_time.run(_beat(Heartbeat(stalling, on_sent=late.append), cloud, 31))
    assert cloud.times == [0, 17, 20, 25, 30]
    assert late == [0, 12, 0, 0, 0]


def test_a_cloud_that_stops_acknowledging_is_given_up_within_fifteen_seconds() -> None:
    async def scenario() -> float:
        cloud, heartbeat = Cloud(acknowledging=True), Heartbeat(_figures)
        await _beat(heartbeat, cloud, 21)
        cloud.acknowledging = False
        frozen = asyncio.get_running_loop().time()
        with pytest.raises(LinkError, match="acknowledged none of the last 2 heartbeats"):
            await heartbeat.run("07048933", cloud.emit)
        return asyncio.get_running_loop().time() - frozen

    assert virtual_time.run(scenario()) <= 15


def test_a_cloud_that_never_acknowledges_is_not_given_up_and_soon_not_asked() -> None:
    cloud = Cloud(acknowledging=False)
    virtual_time.run(_beat(Heartbeat(_figures), cloud, 1000))
    assert len(cloud.times) == 200
    assert cloud.asked == [True] * PROBES + [False] * (200 - PROBES)


def test_figures_that_fail_do_not_stop_the_heart(caplog: pytest.LogCaptureFixture) -> None:
    def failing(agent_id: str) -> dict[str, Any]:
        raise OSError("no /proc")

    cloud = Cloud(acknowledging=True)
    virtual_time.run(_beat(Heartbeat(failing), cloud, 6))
    assert cloud.payloads == [{"agent_id": "07048933", "status": "online"}] * 2
    assert "no /proc" in caplog.text
