"""Which containers are measured: those of the engine and those of pods, as each source reported last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from controller.api import reasons
from controller.backends.base import Identity, RunningContainer
from controller.errors import Waiting
from controller.metrics.containers import ContainerReader
from controller.metrics.disks import Disks
from controller.metrics.history import History
from controller.metrics.host import HostReader
from controller.metrics.sampler import Sampler
from controller.nodes.container_tracker import SETTLE_SECONDS, ContainerTracker
from tests.support import virtual_time


class FakeSampler(Sampler):
    """Records the containers that it is given."""

    def __init__(self) -> None:
        super().__init__(HostReader(Disks()), ContainerReader(), History())
        self.updates: asyncio.Queue[dict[str, int]] = asyncio.Queue()

    def set_containers(self, pids: Mapping[str, int]) -> None:
        super().set_containers(pids)
        self.updates.put_nowait(dict(pids))


class FakeSource:
    """Reports a change when the test calls ``change``."""

    def __init__(self, **pids: int) -> None:
        self.pids = pids
        self.away = False
        self.changed: asyncio.Queue[Identity] = asyncio.Queue()

    def change(self) -> None:
        self.changed.put_nowait(Identity("install", "edge", "any"))

    async def changes(self) -> AsyncIterator[Identity]:
        while True:
            yield await self.changed.get()

    async def running(self) -> list[RunningContainer]:
        if self.away:
            raise Waiting(reasons.DAEMON_UNREACHABLE, "it does not answer")
        return [RunningContainer(Identity("install", "edge", name), pid) for name, pid in self.pids.items()]


def test_the_changes_of_a_start_are_looked_at_together_once_they_are_over() -> None:
    async def main() -> None:
        docker, sampler = FakeSource(plc1=10), FakeSampler()
        tracker = ContainerTracker((docker,), sampler)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in (tracker.follow(docker), tracker.controller.run())]
            assert await sampler.updates.get() == {"edge/plc1": 10}
            docker.pids = {}
            docker.change()
            await asyncio.sleep(SETTLE_SECONDS / 2)
            docker.pids = {"plc1": 11}
            docker.change()
            assert await sampler.updates.get() == {"edge/plc1": 11}
            await asyncio.sleep(2 * SETTLE_SECONDS)
            assert sampler.updates.empty()
            for task in tasks:
                task.cancel()

    virtual_time.run(main())


async def test_every_source_is_measured_and_one_that_is_away_keeps_its_last_answer() -> None:
    docker, pods, sampler = FakeSource(plc1=10), FakeSource(plc2=20), FakeSampler()
    tracker = ContainerTracker((docker, pods), sampler)
    tasks = [
        asyncio.create_task(work) for work in (tracker.follow(docker), tracker.follow(pods), tracker.controller.run())
    ]
    try:
        async with asyncio.timeout(30):
            assert await sampler.updates.get() == {"edge/plc1": 10, "edge/plc2": 20}
            docker.pids = {"plc1": 11}
            docker.change()
            assert await sampler.updates.get() == {"edge/plc1": 11, "edge/plc2": 20}
            docker.away, pods.pids = True, {"plc2": 21}
            pods.change()
            assert await sampler.updates.get() == {"edge/plc1": 11, "edge/plc2": 21}
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await sampler.stop()
