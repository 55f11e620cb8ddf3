"""Samples the usage of the host and every running container on a fixed 5 s grid and answers queries about it.

The sampler's own thread takes the readings; the event loop only records them. The sampler gets the running containers
(``set_containers``) and never asks an engine.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

import psutil

from controller import boottime
from controller.boottime import ClockStepDetector
from controller.machinery.controller import Controller
from controller.metrics.containers import ContainerReader, ContainerReading
from controller.metrics.history import History, Sample
from controller.metrics.host import MIB, HostReader, HostReading
from controller.workers import Workers

logger = logging.getLogger(__name__)

_HOST_SERIES = "host"


class Sampler:
    """Owns the metrics thread and the latest readings.

    A runtime's key is any string that survives the replacement of its container, so that its history continues.
    ``beat`` is called after each sample.
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
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._host_reader = host
        self._container_reader = containers
        self._history = history
        self._interval = interval
        self._clock = clock
        self._elapsed = elapsed
        self._began = elapsed()
        self._clock_steps = ClockStepDetector(clock, elapsed)
        self._thread = Workers(1, "metrics")
        self._pids: dict[str, int] = {}
        self._host: HostReading | None = None
        self._containers: dict[str, ContainerReading] = {}
        self._failed = False
        self._crowded = False
        self._due: float | None = None  # on the loop's clock
        self.controller = Controller("sample the usage", self._sample_on_grid, beat=beat)

    async def start(self) -> None:
        """Take the first reading, so that ``host`` is available. Raises OSError."""
        self._host, self._containers = await self._read()

    async def _sample_on_grid(self) -> float:
        """Sample unless this is the start; return the seconds until the next point of the grid; skip missed ones."""
        now = asyncio.get_running_loop().time
        # start() has just taken a reading, and CPU usage needs an interval between two.
        if self._due is None:
            self._due = now()
        else:
            await self.sample()
        # From the point that was due, not from now: otherwise each sample's duration would move the grid.
        self._due += self._interval * max(1, (now() - self._due) // self._interval + 1)
        return self._due - now()

    async def sample(self) -> None:
        """Read and record once. A failure is logged once and keeps the previous readings."""
        try:
            self._host, self._containers = await self._read()
        except (OSError, psutil.Error, ValueError) as error:
            if not self._failed:
                logger.warning("Cannot read the host's usage, keeping the last values: %s", error)
            self._failed = True
            return
        self._failed = False
        # Before recording: the new sample already has the new time and must not be moved with the others.
        await self._follow_clock()
        self._record(self._host, int(self._clock()))

    async def stop(self) -> None:
        """Close the files and end the thread. Call after the controller has ended."""
        await self._thread.run(self._container_reader.close)
        self._thread.close()

    def forget(self, key: str) -> None:
        """Drop a stopped container. Its history is kept for 48 hours and continues when the container returns."""
        self._pids.pop(key, None)
        self._containers.pop(key, None)

    def set_containers(self, pids: Mapping[str, int]) -> None:
        """Set the running containers: key to the pid of the first process."""
        for key in self._pids.keys() - pids.keys():
            self.forget(key)
        self._pids = dict(pids)

    @property
    def host(self) -> HostReading:
        """The latest reading of the host, at most one interval old. Requires start()."""
        if self._host is None:
            raise RuntimeError("the sampler has not been started")
        return self._host

    @property
    def containers(self) -> Mapping[str, ContainerReading]:
        """The latest reading of each running container that has one."""
        return self._containers

    def host_usage(self, start: float, end: float) -> list[Sample]:
        """Return the host's history: CPU in percent of all cores (0-100), memory in MB; see History.query."""
        return self._history.query(_HOST_SERIES, start, end)

    def device_usage(self, key: str, start: float, end: float) -> list[Sample]:
        """Return a runtime's history: CPU in percent of one core, memory in MB; empty for an unknown key."""
        return self._history.query(_device_series(key), start, end)

    async def _read(self) -> tuple[HostReading, dict[str, ContainerReading]]:
        # The thread gets a copy, because forget() changes the dictionary meanwhile.
        pids = dict(self._pids)
        host, containers = await self._thread.run(lambda: (self._host_reader.read(), self._container_reader.read(pids)))
        # Leave out containers that were dropped in the meantime.
        return host, {key: reading for key, reading in containers.items() if key in self._pids}

    async def _follow_clock(self) -> None:
        """Shift the samples since the start when the time of day was set, as they were recorded with the wrong time."""
        before = self._clock_steps.booted_at
        if step := self._clock_steps.detect():
            logger.info("The time of day was set by %d s", step)
            # The old time of the same period, with a second on both sides because timestamps are whole seconds.
            start, end = self._began + before - 1, self._elapsed() + before + 1
            for series in list(self._history.series()):
                self._history.shift(series, start, end, step)
                await asyncio.sleep(0)

    def _record(self, host: HostReading, now: int) -> None:
        # First, so that it always has a place.
        self._history.record(_HOST_SERIES, Sample(now, host.cpu_percent, host.memory_used / MIB))
        without = [key for key, reading in self._containers.items() if not self._record_device(key, reading, now)]
        if without and not self._crowded:
            logger.warning("Too many runtimes for a history of each: none is kept of %s and others", without[0])
        self._crowded = bool(without)

    def _record_device(self, key: str, reading: ContainerReading, now: int) -> bool:
        return self._history.record(_device_series(key), Sample(now, reading.cpu_percent, reading.memory_used / MIB))


def _device_series(key: str) -> str:
    # The prefix distinguishes a runtime named host from the host.
    return f"device/{key}"
