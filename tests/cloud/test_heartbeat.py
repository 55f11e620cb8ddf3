"""The heartbeat's schedule and its handling of acknowledgements, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from controller.cloud.heartbeat import MAX_PENDING, Heartbeat
from controller.errors import LinkError
from tests.support import virtual_time
from tests.support.virtual_time import VirtualTimeLoop


class Cloud:
    """Receives heartbeats, and acknowledges them if ``acknowledging``."""

    def __init__(self, *, acknowledging: bool) -> None:
        self.acknowledging = acknowledging
        self.times: list[float] = []
        self.payloads: list[Mapping[str, Any]] = []
        self.requested: list[bool] = []

    async def emit(self, event: str, payload: Mapping[str, Any], callback: Callable[..., None] | None) -> None:
        assert event == "heartbeat"
        self.times.append(asyncio.get_running_loop().time())
        self.payloads.append(payload)
        self.requested.append(callback is not None)
        if callback and self.acknowledging:
            callback()


def _figures(agent_id: str) -> dict[str, Any]:
    return {"agent_id": agent_id, "cpu_usage": 1.5}


async def _beat(heartbeat: Heartbeat, cloud: Cloud, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await heartbeat.sender().run("07048933", cloud.emit)


def test_heartbeats_follow_a_fixed_schedule_from_the_connection_on() -> None:
    cloud = Cloud(acknowledging=True)
    virtual_time.run(_beat(Heartbeat(_figures), cloud, 21))
    assert cloud.times == [0, 5, 10, 15, 20]
    assert cloud.payloads[0] == {"agent_id": "07048933", "cpu_usage": 1.5}


def test_late_heartbeats_neither_shift_the_schedule_nor_come_in_a_burst() -> None:
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


class StoppingCloud:
    """A cloud that acknowledges only the first heartbeats of each connection, by an event or by an answer."""

    def __init__(self, first: int, *, by_event: bool = False, by_answer: bool = False) -> None:
        self._first = first
        self._by_event = by_event
        self._by_answer = by_answer
        self.beats = 0
        self.pending = 0

    async def connect(self, heartbeat: Heartbeat, seconds: float = 1000) -> float:
        """Send heartbeats on a new connection for at most ``seconds``; returns how long it lasted."""
        loop, sender = asyncio.get_running_loop(), heartbeat.sender()
        start, self.beats, self.pending = loop.time(), 0, 0

        async def emit(_: str, __: Mapping[str, Any], callback: Callable[..., None] | None) -> None:
            self.beats += 1
            self.pending += callback is not None
            if self.beats > self._first:
                return
            if self._by_event:
                sender.acknowledged()
            if callback and self._by_answer:
                self.pending -= 1
                callback()

        with contextlib.suppress(TimeoutError, LinkError):
            async with asyncio.timeout(seconds):
                await sender.run("07048933", emit)
        return loop.time() - start


@pytest.mark.parametrize(
    "how", [{"by_event": True}, {"by_answer": True}, {"by_event": True, "by_answer": True}], ids=repr
)
def test_the_link_ends_fifteen_seconds_after_the_last_acknowledgement(how: dict[str, bool]) -> None:
    async def scenario() -> float:
        return await StoppingCloud(5, **how).connect(Heartbeat(_figures))

    assert virtual_time.run(scenario()) == 20 + 15  # the last acknowledgement came with the fifth beat


def test_acknowledgements_are_learnt_afresh_on_each_connection() -> None:
    async def scenario() -> tuple[float, float]:
        heartbeat = Heartbeat(_figures)
        return (
            await StoppingCloud(5, by_event=True).connect(heartbeat),
            await StoppingCloud(0).connect(heartbeat),
        )

    assert virtual_time.run(scenario()) == (35, 1000)


def test_a_cloud_that_repeatedly_stops_acknowledging_finally_keeps_its_link(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> list[float]:
        heartbeat = Heartbeat(_figures)
        return [await StoppingCloud(1, by_answer=True).connect(heartbeat) for _ in range(5)]

    assert virtual_time.run(scenario()) == [15, 15, 1000, 1000, 1000]
    assert caplog.text.count("missing acknowledgements no longer end the link") == 1


def test_an_hour_of_acknowledgements_makes_missing_ones_count_again() -> None:
    async def scenario() -> list[float]:
        heartbeat, stopping = Heartbeat(_figures), StoppingCloud(1, by_event=True)
        before = [await stopping.connect(heartbeat) for _ in range(3)]
        await StoppingCloud(800, by_event=True).connect(heartbeat, 3900)
        return [*before, await stopping.connect(heartbeat)]

    assert virtual_time.run(scenario()) == [15, 15, 1000, 15]


def test_pending_acknowledgements_are_bounded() -> None:
    async def scenario() -> int:
        stopping = StoppingCloud(10_000, by_event=True)
        await stopping.connect(Heartbeat(_figures))
        return stopping.pending

    assert virtual_time.run(scenario()) == MAX_PENDING


def test_an_acknowledgement_on_an_earlier_connection_is_ignored() -> None:
    async def scenario() -> float:
        heartbeat = Heartbeat(_figures)
        earlier = heartbeat.sender()
        later = asyncio.create_task(StoppingCloud(0).connect(heartbeat))
        await asyncio.sleep(1)
        earlier.acknowledged()
        return await later

    assert virtual_time.run(scenario()) == 1000


def test_a_cloud_that_never_acknowledges_keeps_its_link() -> None:
    cloud = Cloud(acknowledging=False)
    virtual_time.run(_beat(Heartbeat(_figures), cloud, 1000))
    assert len(cloud.times) == 200
    assert cloud.requested == [True] * MAX_PENDING + [False] * (200 - MAX_PENDING)


def test_failing_figures_do_not_stop_the_heartbeat(caplog: pytest.LogCaptureFixture) -> None:
    def failing(agent_id: str) -> dict[str, Any]:
        raise OSError("no /proc")

    cloud = Cloud(acknowledging=True)
    virtual_time.run(_beat(Heartbeat(failing), cloud, 6))
    assert cloud.payloads == [{"agent_id": "07048933", "status": "online"}] * 2
    assert "no /proc" in caplog.text
