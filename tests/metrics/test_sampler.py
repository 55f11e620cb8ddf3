"""The sampler's 5 s grid, also with failing sources."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping

import pytest

from controller.metrics.containers import ContainerReader, ContainerReading
from controller.metrics.disks import Disks
from controller.metrics.history import History
from controller.metrics.host import MIB, HostReader, HostReading
from controller.metrics.sampler import Sampler

NOW = 1_732_235_400


class FixedHost(HostReader):
    """A host with constant readings, which can be made to fail."""

    def __init__(self) -> None:
        super().__init__(Disks())
        self.fails = False

    def read(self) -> HostReading:
        if self.fails:
            raise OSError("no /proc")
        return HostReading(12.5, 256 * MIB, 1024 * MIB, 1, 2, 3)


class FixedContainers(ContainerReader):
    """Containers with their process id as CPU percentage."""

    def read(self, pids: Mapping[str, int]) -> dict[str, ContainerReading]:
        return {key: ContainerReading(pid, 64 * MIB) for key, pid in pids.items()}


class Harness:
    """A sampler with its sources and a clock that advances 5 s per tick."""

    def __init__(self) -> None:
        self.host = FixedHost()
        self.now, self.elapsed = NOW, 100.0
        self.beats = asyncio.Semaphore(0)
        self.sampler = Sampler(
            self.host,
            FixedContainers(),
            History(),
            interval=0.01,
            clock=lambda: self.now,
            elapsed=lambda: self.elapsed,
            beat=self.beats.release,
        )

    async def tick(self) -> None:
        self.now += 5
        self.elapsed += 5
        await self.sampler.sample()


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    made = Harness()
    await made.sampler.start()
    yield made
    await made.sampler.stop()


async def test_readings_are_available_after_the_start(harness: Harness) -> None:
    assert harness.sampler.host.cpu_percent == 12.5


async def test_readings_before_the_start_raise() -> None:
    with pytest.raises(RuntimeError, match="not been started"):
        _ = Harness().sampler.host


async def test_host_and_containers_have_a_history_in_percent_and_mb(harness: Harness) -> None:
    harness.sampler.set_containers({"edge/plc": 42})
    await harness.tick()
    await harness.tick()
    assert harness.sampler.host_usage(NOW, NOW + 60) == [(NOW + 5, 12.5, 256), (NOW + 10, 12.5, 256)]
    assert harness.sampler.device_usage("edge/plc", NOW, NOW + 60) == [(NOW + 5, 42, 64), (NOW + 10, 42, 64)]


async def test_a_runtime_named_host_is_not_the_host(harness: Harness) -> None:
    harness.sampler.set_containers({"host": 1})
    await harness.tick()
    assert len(harness.sampler.host_usage(NOW, NOW + 60)) == 1


async def test_the_history_of_a_replaced_container_continues(harness: Harness) -> None:
    harness.sampler.set_containers({"edge/plc": 42})
    await harness.tick()
    harness.sampler.forget("edge/plc")
    await harness.tick()
    harness.sampler.set_containers({"edge/plc": 43})
    await harness.tick()
    assert harness.sampler.device_usage("edge/plc", NOW, NOW + 60) == [(NOW + 5, 42, 64), (NOW + 15, 43, 64)]


@pytest.mark.parametrize("start", [10, NOW, 2 * NOW], ids=["1970", "the present", "2079"])
async def test_setting_the_clock_shifts_the_history(start: int) -> None:
    harness = Harness()
    harness.now = start
    harness.sampler = Sampler(
        harness.host, FixedContainers(), History(), clock=lambda: harness.now, elapsed=lambda: harness.elapsed
    )
    for _ in range(3):
        await harness.tick()
    harness.now = NOW + 1000
    await harness.tick()
    found = [sample.timestamp - NOW for sample in harness.sampler.host_usage(0, 3 * NOW)]
    assert found == [990, 995, 1000, 1005]
    await harness.sampler.stop()


async def test_all_containers_can_be_set_at_once(harness: Harness) -> None:
    harness.sampler.set_containers({"a": 1, "b": 2})
    await harness.tick()
    harness.sampler.set_containers({"b": 3})
    assert set(harness.sampler.containers) == {"b"}
    await harness.tick()
    assert dict(harness.sampler.containers) == {"b": ContainerReading(3, 64 * MIB)}


async def test_runtimes_without_a_place_in_the_history_are_logged_once(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.sampler.set_containers({f"edge/plc-{number}": 1 for number in range(256)})
    for _ in range(3):
        await harness.tick()
    assert len(harness.sampler.host_usage(NOW, NOW + 60)) == 3
    assert len(harness.sampler.device_usage("edge/plc-0", NOW, NOW + 60)) == 3
    assert caplog.text.count("none is kept of edge/plc-255") == 1


async def test_a_failing_source_is_logged_once_and_keeps_the_last_reading(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.host.fails = True
    await harness.tick()
    await harness.tick()
    assert caplog.text.count("Cannot read the host's usage") == 1
    assert harness.sampler.host.cpu_percent == 12.5
    harness.host.fails = False
    await harness.tick()
    assert [sample.timestamp for sample in harness.sampler.host_usage(NOW, NOW + 60)] == [NOW + 15]


async def test_every_iteration_beats_even_if_reading_fails(harness: Harness) -> None:
    harness.host.fails = True
    task = asyncio.create_task(harness.sampler.controller.run())
    for _ in range(3):
        await harness.beats.acquire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_real_sources_work_together() -> None:
    sampler = Sampler(HostReader(Disks()), ContainerReader(), History())
    sampler.set_containers({"self": os.getpid()})
    await sampler.start()
    await sampler.sample()
    assert sampler.host.memory_total > 0
    await sampler.stop()
