"""Starts, stops and removes existing containers.

A start never restarts a running container, and a stop always grants the program its grace period.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from controller import disk, errors
from controller.api import reasons
from controller.backends.base import Identity, Target
from controller.backends.docker.containers import labels
from controller.backends.docker.containers.creator import ContainerCreator
from controller.backends.docker.containers.inventory import Container, Containers
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.client import Engine
from controller.backends.docker.networking.attachments import Attachments
from controller.backends.docker.networking.dedicated_interface import DedicatedInterfaces

# Waits 12 s in all: a busy machine takes seconds to remove the network namespace of the previous run.
_LINGERING_LINK_ATTEMPTS, _LINGERING_LINK_SECONDS = 40, 0.3

log = logging.getLogger(__name__)


class Lifecycle:
    """Operations on a container after its creation."""

    def __init__(
        self,
        engine: Engine,
        containers: Containers,
        creator: ContainerCreator,
        attachments: Attachments,
        dedication: DedicatedInterfaces,
    ) -> None:
        self._dedication = dedication
        self._engine = engine
        self._containers = containers
        self._creator = creator
        self._attachments = attachments
        self._looks: dict[Identity, asyncio.Task[Container]] = {}

    async def start(self, target: Target) -> None:
        """Start the container and repair its networks. Only repair the networks of a running one.

        Raises errors.Waiting(ADDRESS_CONFLICT) before the start when somebody else uses one of its addresses.
        """
        container = await self._attachments.require_unclaimed(target)
        await self._start_over(target, container)

    async def launch(self, target: Target, container: Container) -> None:
        """Start the target's container, recreated without realtime if the host refuses that. Raises Refusal."""
        try:
            await self._start(container)
        except failures.Refusal as refusal:
            if failures.is_realtime_refusal(refusal):
                await self._creator.recreate_without_realtime(target)
            elif failures.is_lost_network(refusal):
                # Engines from 28 on refuse a start whose NetworkMode names a removed network; 20.10 starts without it.
                await self._attachments.reconnect(target, refusal)
            else:
                raise
            await self._start(await self._containers.require(target.identity))
        log.info("Started container %s", target.identity.device_id, extra={"runtime": target.name})

    async def stop(self, target: Target) -> None:
        """Stop the container within the spec's grace period, and return a passed-through interface to the host."""
        await self._stop_running(await self._containers.require(target.identity), target)

    async def _stop_running(self, container: Container, target: Target) -> None:
        # Before the stop: a restart of our service may have lost the mount of the namespace, without which a virtual
        # interface dies with the container.
        await self._dedication.recover(target.identity, container.process)
        await self._stop(container, target)
        await self._dedication.return_to_host(target.identity)

    def expect_restart(self, target: Target) -> None:
        """Look at the container beside the record of its restart, which comes next unless that cannot be written."""
        self._looks[target.identity] = look = asyncio.create_task(self._startable(target))
        # Whoever restarts it gets the error.
        look.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def restart(self, target: Target) -> None:
        """Stop and start it. Raises errors.Retry(DISK_FULL) before the stop (require_room)."""
        container = await (self._looks.pop(target.identity, None) or self._startable(target))
        await self._stop_running(container, target)
        # Not `start`: a probe that finds a conflict after the stop would leave the runtime down.
        await self._start_over(target, container)

    async def remove(self, target: Target) -> None:
        """Stop and remove the container, its predecessor, and the volumes with reclaimPolicy Delete."""
        identity = target.identity
        self._looks.pop(identity, None)
        found = (
            self._containers.current(identity),
            self._containers.previous(identity),
            # Otherwise a container that somebody renamed would outlive its Runtime.
            self._containers.renamed(target),
        )
        for container in await asyncio.gather(*found):
            if container is not None:
                await self._stop(container, target)
                await self.discard(container)
        await self._dedication.return_to_host(identity)
        for volume in target.spec.volumes:
            if volume.reclaim_policy == "Delete":
                await self._remove_volume(target.identity, volume.name)

    async def discard(self, container: Container) -> None:
        """Remove a stopped container; keep its volumes."""
        with _absence_tolerated():
            await self._engine.change(lambda client: client.remove_container(container.id, force=True))

    async def rename(self, container: Container, name: str) -> None:
        """Rename the container."""
        await self._engine.change(lambda client: client.rename(container.id, name))

    async def restore_name(self, target: Target) -> None:
        """Undo the rename of a container by somebody."""
        if found := await self._containers.renamed(target):
            await self.rename(found, target.identity.device_id)
            log.info(
                "Renamed container %s to %s", found.name, target.identity.device_id, extra={"runtime": target.name}
            )

    async def halt(self, container: Container, seconds: int) -> None:
        """Stop a container; kill it after ``seconds``."""
        with _absence_tolerated():
            await self._engine.stop(container.id, seconds)
        log.info("Stopped container %s", container.name)

    async def _startable(self, target: Target) -> Container:
        """The container, which could start again after a stop. Raises errors.Retry."""
        container = await self._containers.require(target.identity)
        await require_room(container)
        return container

    async def _start_over(self, target: Target, container: Container) -> None:
        await self._attachments.provide(target)
        await self.launch(target, container)
        await self._attachments.repair(target, started=True)

    async def _start(self, container: Container) -> None:
        """Start it, and wait while the kernel is still removing a link of the previous run."""
        for attempt in range(_LINGERING_LINK_ATTEMPTS):
            try:
                # By its id: the name may belong to another namespace's runtime by now.
                await self._engine.change(lambda client: client.start(container.id))
            except failures.Refusal as refusal:
                if not failures.is_lingering_link(refusal) or attempt == _LINGERING_LINK_ATTEMPTS - 1:
                    raise
            else:
                return
            await asyncio.sleep(_LINGERING_LINK_SECONDS)

    async def _stop(self, container: Container, target: Target) -> None:
        # A restarting container is stopped too, or the engine would start it once more.
        if container.state["Status"] not in ("exited", "created", "dead"):
            await self.halt(container, target.spec.termination_grace_period_seconds)

    async def _remove_volume(self, identity: Identity, name: str) -> None:
        volume = labels.volume_name(identity, name)
        with _absence_tolerated():
            found = await self._engine.call(lambda client: client.inspect_volume(volume))
            if labels.identity_of(found.get("Labels"), identity.install_id) == identity:
                await self._engine.change(lambda client: client.remove_volume(volume))


async def require_room(container: Container) -> None:
    """Raise errors.Retry(DISK_FULL) before a running container is stopped: on a full disk it could not start again."""
    folder = container.folder
    if container.running and folder and await asyncio.to_thread(disk.is_full, folder):
        message = f"Docker's disk ({folder.parent}) is full, so {container.name} could not start again: free space"
        raise errors.Retry(reasons.DISK_FULL, message)


@contextmanager
def _absence_tolerated() -> Iterator[None]:
    try:
        yield
    except failures.Refusal as refusal:
        # Not the same as absent: its name and its endpoints stay taken until the removal ends.
        if refusal.status == 409 and "removal" in refusal.message:
            raise errors.Retry(reasons.STEP_FAILED, "The engine is still removing the container") from refusal
        if refusal.status != 404:
            raise
