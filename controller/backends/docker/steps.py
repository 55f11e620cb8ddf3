"""Maps each step to the part that executes it, and clears the caches after a removal."""

from __future__ import annotations

from collections.abc import Collection

from controller.backends import base
from controller.backends.base import Action, Step, Target
from controller.backends.docker.containers import labels
from controller.backends.docker.containers.creator import ContainerCreator
from controller.backends.docker.containers.lifecycle import Lifecycle
from controller.backends.docker.containers.replacement import Replacement
from controller.backends.docker.engine.lane import EngineLimits
from controller.backends.docker.facets import Facets
from controller.backends.docker.images.images import Images
from controller.backends.docker.networking.attachments import Attachments
from controller.backends.docker.parts import Parts


class Steps:
    """Executes steps for the installation ``install_id``; the other arguments are those of DockerBackend."""

    def __init__(
        self,
        parts: Parts,
        attachments: Attachments,
        facets: Facets,
        install_id: str,
        *,
        settle_seconds: float,
        pids_limit: int,
        limits: EngineLimits,
    ) -> None:
        self._parts = parts
        self._attachments = attachments
        self._facets = facets
        self._install_id = install_id
        images = Images(parts.engine, parts.containers, limits)
        creator = ContainerCreator(parts, facets, images, pids_limit)
        self._lifecycle = lifecycle = Lifecycle(parts.engine, parts.containers, creator, attachments, parts.dedication)
        replacement = Replacement(parts.containers, creator, lifecycle, attachments, images, settle_seconds)
        self._actions = base.Actions(
            resolve_image=images.resolve,
            create_container=creator.create,
            start_container=base.plain(lifecycle.start),
            stop_container=base.plain(lifecycle.stop),
            restore_name=base.plain(lifecycle.restore_name),
            restart_container=base.plain(lifecycle.restart),
            replace_container=replacement.replace,
            finish_replacement=base.plain(replacement.finish),
            repair_networks=base.plain(attachments.repair),
            attach_devices=base.plain(facets.devices.attach),
            update_resources=base.plain(facets.limits.update),
            remove_container=base.plain(self._remove),
            remove_networks=base.plain(self._remove_networks),
            pin_image=base.unsupported(Step.PIN_IMAGE),
        )

    def expect(self, steps: Collection[Step], target: Target) -> None:
        """Begin what these steps wait for."""
        if Step.START_CONTAINER in steps:
            self._attachments.expect_start(target)
        if Step.RESTART_CONTAINER in steps:
            self._lifecycle.expect_restart(target)

    def of(self, step: Step) -> Action:
        """The action that implements the step; it raises Refusal too."""
        return self._actions.of(step)

    async def _remove(self, target: Target) -> None:
        await self._lifecycle.remove(target)
        # Only after the removal, which may fail and be repeated: forgetting frees the addresses and devices for others.
        for facet in self._facets:
            facet.forget(target.identity)

    async def _remove_networks(self, target: Target) -> None:
        await self._parts.networks.remove_internal(target.identity)
        await self._parts.networks.remove_unused_lans()
        # From labels: after a start of the controller, Parents knows only runtimes that were observed since.
        left = await self._parts.containers.of_install(self._install_id)
        used = (labels.parents(entry["Labels"]) for _, entry in left)
        await self._parts.parents.remove_unused(set().union(*used))
