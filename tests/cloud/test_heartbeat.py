"""The heartbeat's grid, and what it takes acknowledgements for. In virtual time: seconds here cost nothing."""

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
            await heartbeat.sender().run("07048933", cloud.emit)


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


class Fading:
    """A cloud that acknowledges the first beats of each connection, as an event or as an answer, and then no more."""

    def __init__(self, first: int, *, by_event: bool = False, by_answer: bool = False) -> None:
        self._first = first
        self._by_event = by_event
        self._by_answer = by_answer
        self.beats = 0
        self.open = 0

    async def connect(self, heartbeat: Heartbeat, seconds: float = 1000) -> float:
        """Beat on a new connection for so long; when it ended."""
        loop, sender = asyncio.get_running_loop(), heartbeat.sender()
        start, self.beats, self.open = loop.time(), 0, 0

        async def emit(_: str, __: Mapping[str, Any], callback: Callable[..., None] | None) -> None:
            self.beats += 1
            self.open += callback is not None
            if self.beats > self._first:
                return
            if self._by_event:
                sender.acknowledged()
            if callback and self._by_answer:
                self.open -= 1
                callback()

        with contextlib.suppress(TimeoutError, LinkError):
            async with asyncio.timeout(seconds):
                await sender.run("07048933", emit)
        return loop.time() - start


@pytest.mark.parametrize(
    "way", [{"by_event": True}, {"by_answer": True}, {"by_event": True, "by_answer": True}], ids=repr
)
def test_a_cloud_that_stops_acknowledging_is_given_up_within_fifteen_seconds(way: dict[str, bool]) -> None:
    async def scenario() -> float:
        return await Fading(5, **way).connect(Heartbeat(_figures))

    assert virtual_time.run(scenario()) == 20 + 15  # the last acknowledgement came with the fifth beat


def test_what_a_cloud_acknowledges_is_learnt_on_each_connection() -> None:
    async def scenario() -> tuple[float, float]:
        heartbeat = Heartbeat(_figures)
        return (
            await Fading(5, by_event=True).connect(heartbeat),
            await Fading(0).connect(heartbeat),
        )

    assert virtual_time.run(scenario()) == (35, 1000)


def test_a_cloud_that_always_stops_acknowledging_keeps_its_link_in_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> list[float]:
        heartbeat = Heartbeat(_figures)
        return [await Fading(1, by_answer=True).connect(heartbeat) for _ in range(5)]

    assert virtual_time.run(scenario()) == [15, 15, 1000, 1000, 1000]
    assert caplog.text.count("missing acknowledgements no longer end the link") == 1


def test_an_hour_of_acknowledgements_makes_silence_tell_again() -> None:
    async def scenario() -> list[float]:
        heartbeat, fading = Heartbeat(_figures), Fading(1, by_event=True)
        before = [await fading.connect(heartbeat) for _ in range(3)]
        await Fading(800, by_event=True).connect(heartbeat, 3900)
        return [*before, await fading.connect(heartbeat)]

    assert virtual_time.run(scenario()) == [15, 15, 1000, 15]


def test_no_more_answers_are_asked_for_than_a_cloud_may_leave_open() -> None:
    async def scenario() -> int:
        fading = Fading(10_000, by_event=True)
        await fading.connect(Heartbeat(_figures))
        return fading.open

    assert virtual_time.run(scenario()) == MAX_PENDING


def test_an_acknowledgement_of_an_earlier_connection_tells_nothing_of_the_next() -> None:
    async def scenario() -> float:
        heartbeat = Heartbeat(_figures)
        earlier = heartbeat.sender()
        later = asyncio.create_task(Fading(0).connect(heartbeat))
        await asyncio.sleep(1)
        earlier.acknowledged()
        return await later

    assert virtual_time.run(scenario()) == 1000


def test_a_cloud_that_never_acknowledges_is_not_given_up_and_soon_not_asked() -> None:
    cloud = Cloud(acknowledging=False)
    virtual_time.run(_beat(Heartbeat(_figures), cloud, 1000))
    assert len(cloud.times) == 200
    assert cloud.asked == [True] * MAX_PENDING + [False] * (200 - MAX_PENDING)


def test_figures_that_fail_do_not_stop_the_heart(caplog: pytest.LogCaptureFixture) -> None:
    def failing(agent_id: str) -> dict[str, Any]:
        raise OSError("no /proc")

    cloud = Cloud(acknowledging=True)
    virtual_time.run(_beat(Heartbeat(failing), cloud, 6))
    assert cloud.payloads == [{"agent_id": "07048933", "status": "online"}] * 2
    assert "no /proc" in caplog.text
