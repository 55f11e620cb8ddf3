"""Looks at the host and at every running container on a fixed 5 s grid, and answers what was used when.

The readings are taken in one thread of the sampler's own; the event loop only files them. Whoever runs containers
says which ones there are; the sampler asks nobody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import psutil

from controller import boottime
from controller.boottime import Steps
from controller.metrics.containers import ContainerReader, ContainerReading
from controller.metrics.history import History, Sample
from controller.metrics.host import MIB, HostReader, HostReading

logger = logging.getLogger(__name__)

_HOST_SERIES = "host"


class Sampler:
    """Owner of the metrics thread and of the latest readings.

    A runtime's key is any string that stays the same when its container is replaced: its history goes on under it.
    """

    def __init__(
        self,
        host: HostReader,
        containers: ContainerReader,
        history: History,
        *,
        interval: float = 5.0,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = boottime.now,
    ) -> None:
        self._host_reader = host
        self._container_reader = containers
        self._history = history
        self._interval = interval
        self._clock = clock
        self._elapsed = elapsed
        self._began = elapsed()
        self._steps = Steps(clock, elapsed)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._pids: dict[str, int] = {}
        self._host: HostReading | None = None
        self._containers: dict[str, ContainerReading] = {}
        self._failed = False

    async def start(self) -> None:
        """Take the first reading, so that there are figures before anybody asks for some. Raises OSError."""
        self._host, self._containers = await self._read()

    async def run(self, beat: Callable[[], None]) -> None:
        """Sample on the grid until cancelled, and say so with ``beat``; what is missed is never made up for."""
        loop = asyncio.get_running_loop()
        deadline = loop.time()
        while True:
            deadline += self._interval * max(1, (loop.time() - deadline) // self._interval + 1)
            await asyncio.sleep(deadline - loop.time())
            await self.sample()
            beat()

    async def sample(self) -> None:
        """One tick: read and record. A failure is logged once and leaves the readings as they were."""
        try:
            self._host, self._containers = await self._read()
        except (OSError, psutil.Error, ValueError) as error:
            if not self._failed:
                logger.warning("The host's figures cannot be read and stay as they were: %s", error)
            self._failed = True
            return
        self._failed = False
        await self._follow_clock()
        self._record(self._host, int(self._clock()))

    async def stop(self) -> None:
        """Close the files and end the thread. Call after run() was cancelled."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._container_reader.close)
        self._executor.shutdown(wait=False)

    def forget(self, key: str) -> None:
        """The container stopped. Its history stays for 48 hours and goes on when it comes back."""
        self._pids.pop(key, None)
        self._containers.pop(key, None)

    def set_containers(self, pids: Mapping[str, int]) -> None:
        """Exactly these containers run: key to the process id of their first process."""
        for key in self._pids.keys() - pids.keys():
            self.forget(key)
        self._pids = dict(pids)

    @property
    def host(self) -> HostReading:
        """The latest reading of the host, not older than a tick; start() came before."""
        if self._host is None:
            raise RuntimeError("the sampler has not been started")
        return self._host

    @property
    def containers(self) -> Mapping[str, ContainerReading]:
        """The latest reading of each running container that has one."""
        return self._containers

    def host_usage(self, start: float, end: float) -> list[Sample]:
        """The host's history: CPU in percent of all cores (0-100), memory in MB; see History.query."""
        return self._history.query(_HOST_SERIES, start, end)

    def device_usage(self, key: str, start: float, end: float) -> list[Sample]:
        """A runtime's history: CPU in percent of one core, memory in MB; empty for an unknown key."""
        return self._history.query(_device_series(key), start, end)

    async def _read(self) -> tuple[HostReading, dict[str, ContainerReading]]:
        pids = dict(self._pids)
        host, containers = await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: (self._host_reader.read(), self._container_reader.read(pids))
        )
        # What was forgotten meanwhile is not there any more.
        return host, {key: reading for key, reading in containers.items() if key in self._pids}

    async def _follow_clock(self) -> None:
        """When the time of day was set, the samples since the start were recorded by another one, and move along."""
        before = self._steps.booted_at
        if step := self._steps.look():
            logger.info("The time of day was set by %d s", step)
            start, end = self._began + before - 1, self._elapsed() + before + 1
            for series in list(self._history.series()):
                self._history.shift(series, start, end, step)
                await asyncio.sleep(0)

    def _record(self, host: HostReading, now: int) -> None:
        self._history.record(_HOST_SERIES, Sample(now, host.cpu_percent, host.memory_used / MIB))
        for key, reading in self._containers.items():
            self._history.record(_device_series(key), Sample(now, reading.cpu_percent, reading.memory_used / MIB))


def _device_series(key: str) -> str:
    return f"device/{key}"
