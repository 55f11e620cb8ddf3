"""The 5 s grid: what is sampled, and what a failing source does to it."""

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
    """A host of constant figures, which can be made to fail."""

    def __init__(self) -> None:
        super().__init__(Disks())
        self.fails = False

    def read(self) -> HostReading:
        if self.fails:
            raise OSError("no /proc")
        return HostReading(12.5, 256 * MIB, 1024 * MIB, 1, 2, 3)


class FixedContainers(ContainerReader):
    """Containers whose CPU percent is their process id."""

    def read(self, pids: Mapping[str, int]) -> dict[str, ContainerReading]:
        return {key: ContainerReading(pid, 64 * MIB) for key, pid in pids.items()}


class Site:
    """A sampler with its sources and a clock that moves 5 s a tick."""

    def __init__(self) -> None:
        self.host = FixedHost()
        self.now, self.elapsed = NOW, 100.0
        self.sampler = Sampler(
            self.host, FixedContainers(), History(), interval=0.01, clock=lambda: self.now, elapsed=lambda: self.elapsed
        )

    async def tick(self) -> None:
        self.now += 5
        self.elapsed += 5
        await self.sampler.sample()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    await made.sampler.start()
    yield made
    await made.sampler.stop()


async def test_there_are_figures_from_the_start(site: Site) -> None:
    assert site.sampler.host.cpu_percent == 12.5


async def test_before_the_start_there_are_none() -> None:
    with pytest.raises(RuntimeError, match="not been started"):
        _ = Site().sampler.host


async def test_host_and_containers_have_a_history_in_percent_and_mb(site: Site) -> None:
    site.sampler.set_containers({"edge/plc": 42})
    await site.tick()
    await site.tick()
    assert site.sampler.host_usage(NOW, NOW + 60) == [(NOW + 5, 12.5, 256), (NOW + 10, 12.5, 256)]
    assert site.sampler.device_usage("edge/plc", NOW, NOW + 60) == [(NOW + 5, 42, 64), (NOW + 10, 42, 64)]


async def test_a_runtime_named_host_is_not_the_host(site: Site) -> None:
    site.sampler.set_containers({"host": 1})
    await site.tick()
    assert len(site.sampler.host_usage(NOW, NOW + 60)) == 1


async def test_the_history_of_a_replaced_container_goes_on(site: Site) -> None:
    site.sampler.set_containers({"edge/plc": 42})
    await site.tick()
    site.sampler.forget("edge/plc")
    await site.tick()
    site.sampler.set_containers({"edge/plc": 43})
    await site.tick()
    assert site.sampler.device_usage("edge/plc", NOW, NOW + 60) == [(NOW + 5, 42, 64), (NOW + 15, 43, 64)]


@pytest.mark.parametrize("start", [10, NOW, 2 * NOW], ids=["1970", "the present", "2079"])
async def test_a_clock_that_is_set_takes_the_history_along(start: int) -> None:
    site = Site()
    site.now = start
    site.sampler = Sampler(
        site.host, FixedContainers(), History(), clock=lambda: site.now, elapsed=lambda: site.elapsed
    )
    for _ in range(3):
        await site.tick()
    site.now = NOW + 1000
    await site.tick()
    found = [sample.timestamp - NOW for sample in site.sampler.host_usage(0, 3 * NOW)]
    assert found == [990, 995, 1000, 1005]
    await site.sampler.stop()


async def test_containers_can_be_given_all_at_once(site: Site) -> None:
    site.sampler.set_containers({"a": 1, "b": 2})
    await site.tick()
    site.sampler.set_containers({"b": 3})
    assert set(site.sampler.containers) == {"b"}
    await site.tick()
    assert dict(site.sampler.containers) == {"b": ContainerReading(3, 64 * MIB)}


async def test_a_failing_source_is_said_once_and_leaves_the_last_figures(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.host.fails = True
    await site.tick()
    await site.tick()
    assert caplog.text.count("cannot be read") == 1
    assert site.sampler.host.cpu_percent == 12.5
    site.host.fails = False
    await site.tick()
    assert [sample.timestamp for sample in site.sampler.host_usage(NOW, NOW + 60)] == [NOW + 15]


async def test_every_turn_of_the_loop_beats_even_when_nothing_can_be_read(site: Site) -> None:
    site.host.fails = True
    beats = asyncio.Semaphore(0)
    task = asyncio.create_task(site.sampler.run(beats.release))
    for _ in range(3):
        await beats.acquire()
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
