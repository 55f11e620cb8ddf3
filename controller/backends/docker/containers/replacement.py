"""Replaces a container. Keeps the old one until the new one runs, and rolls back to it on failure.

The old one is stopped and renamed: its name marks it as the predecessor, because labels cannot change. After an
interruption at any point, ``finish`` continues from the state it finds.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from typing import NoReturn

from controller import errors
from controller.api import reasons
from controller.backends import base
from controller.backends.base import Progress, Target
from controller.backends.docker.containers import labels
from controller.backends.docker.containers.creator import ContainerCreator
from controller.backends.docker.containers.inventory import Container, Containers
from controller.backends.docker.containers.lifecycle import Lifecycle, require_room
from controller.backends.docker.engine import failures
from controller.backends.docker.images.images import Images
from controller.backends.docker.networking.attachments import Attachments

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
_UNKNOWN = (reasons.DAEMON_UNREACHABLE, reasons.DAEMON_SLOW)
# Causes that pass and are checked before the next stop, so that trying again interrupts nothing while they last.
_PASSING = (reasons.ADDRESS_CONFLICT, reasons.PARENT_MISSING, reasons.DISK_FULL)


class Replacement:
    """``settle_seconds``: how long a new container must run without exiting before the old one is removed."""

    def __init__(
        self,
        containers: Containers,
        creator: ContainerCreator,
        lifecycle: Lifecycle,
        attachments: Attachments,
        images: Images,
        settle_seconds: float,
    ) -> None:
        self._containers = containers
        self._creator = creator
        self._lifecycle = lifecycle
        self._attachments = attachments
        self._images = images
        self._settle_seconds = settle_seconds

    async def replace(self, target: Target, progress: Progress) -> Target:
        """Replace the current container by one of the target.

        Raises errors.Stalled(REPLACE_FAILED) after a rollback, or the cause if that passes by itself. What can be known
        before it stops anything is checked there, and raised as what it is.
        """
        # A pull may take minutes or fail: the old program runs until its end.
        target = await self._images.provide(target, progress)
        old = await self._containers.previous(target.identity)
        # With a predecessor, an interrupted replacement has already stopped and renamed the old container.
        if old is None:
            old = await self._containers.require(target.identity)
            await self._attachments.require_unclaimed(target)
            await self._creator.require_volumes(target)
            await require_room(old)
            await self._lifecycle.halt(old, target.spec.termination_grace_period_seconds)
            await self._lifecycle.rename(old, labels.previous_name(target.identity))
        try:
            target = await self._creator.create_from(target, self._provenance(target, old))
        except (failures.Refusal, errors.ReconcileError) as error:
            # Not for a cancellation, after which `finish` continues from what exists.
            await self._go_back(target, error)
        await self._settle(target, old)
        return target

    async def finish(self, target: Target) -> None:
        """Finish an interrupted replacement. Raises errors.Stalled(REPLACE_FAILED)."""
        old = await self._containers.previous(target.identity)
        if old is None:
            return
        if await self._containers.current(target.identity) is None:
            await self._restore(target, old)
        else:
            await self._settle(target, old)

    def _provenance(self, target: Target, old: Container) -> labels.ContainerProvenance:
        before = labels.provenance(old.labels)
        provenance = self._creator.initial_provenance(target)
        pulled = provenance.pulled or (before.pulled and before.image == target.image)
        # Record only an image that we pulled, because a recorded image is removed later.
        superseded = before.image if before.pulled else ""
        previous = superseded if before.image != target.image else before.previous_image
        # DHCP servers, switches and firewalls of the plant know the runtime by its MAC addresses, so those stay.
        return dataclasses.replace(
            provenance, pulled=pulled, mac_addresses=before.mac_addresses, previous_image=previous
        )

    async def _settle(self, target: Target, old: Container) -> None:
        """Keep the new container if it runs, else roll back to the old one."""
        try:
            await self._prove(target)
        except (failures.Refusal, errors.ReconcileError) as error:
            await self._go_back(target, error)
        await self._give_up(target, old)

    async def _prove(self, target: Target) -> None:
        """Start the new container and check that it keeps running; start nothing when it should be stopped."""
        if target.spec.desired_state == "Stopped":
            return
        await self._lifecycle.launch(target, await self._containers.require(target.identity))
        # A later reconciliation repairs the networks, whichever container remains.
        with contextlib.suppress(errors.ReconcileError, failures.Refusal):
            await self._attachments.repair(target, started=True)
        first = await self._containers.require(target.identity)
        waited = 0.0
        while waited < self._settle_seconds:
            await asyncio.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
            _require_steady(first, await self._containers.require(target.identity))

    async def _go_back(self, target: Target, error: Exception) -> NoReturn:
        if isinstance(error, errors.Waiting) and error.reason in _UNKNOWN:
            raise error  # the state of the new container is unknown, and a rollback is impossible now
        log.warning("The new container failed, rolling back: %s", error, extra={"runtime": target.name})
        if new := await self._containers.current(target.identity):
            await self._lifecycle.discard(new)
        if old := await self._containers.previous(target.identity):
            await self._restore(target, old)
        cause = failures.outcome(error) if isinstance(error, failures.Refusal) else error
        if isinstance(cause, errors.ReconcileError) and cause.reason in _PASSING:
            raise cause
        message = f"The new container did not run ({error}) and the old one was started again: correct the spec"
        raise errors.Stalled(reasons.REPLACE_FAILED, message) from error

    async def _restore(self, target: Target, old: Container) -> None:
        """Give the old container its name back, and start it with the interfaces it was created with."""
        await self._lifecycle.rename(old, target.identity.device_id)
        if target.spec.desired_state == "Running":
            spec = base.made_from(old.labels) or target.spec
            await self._lifecycle.start(dataclasses.replace(target, spec=spec))

    async def _give_up(self, target: Target, old: Container) -> None:
        before = labels.provenance(old.labels)
        await self._lifecycle.discard(old)
        # The image of the container before that one; the image just replaced stays on the host as the way back.
        if before.previous_image:
            await self._images.remove_superseded(target, before.previous_image)
        log.info("Replaced container %s", target.identity.device_id, extra={"runtime": target.name})


def _require_steady(first: Container, now: Container) -> None:
    restarted = int(now.document.get("RestartCount") or 0) > 0
    if now.running and not restarted and now.state["StartedAt"] == first.state["StartedAt"]:
        return
    why = "out of memory" if now.state.get("OOMKilled") else f"exit code {now.state.get('ExitCode')}"
    raise errors.Retry(reasons.CRASHED, now.state.get("Error") or f"its program exited unexpectedly, {why}")
