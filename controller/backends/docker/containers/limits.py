"""The limits of CPU and memory of existing containers.

Engines cannot remove a limit from a container: one of the host's capacity means none.
"""

from __future__ import annotations

import os
from dataclasses import replace

from controller import quantities
from controller.api import reasons, runtimes
from controller.backends.base import Target
from controller.backends.docker.containers import create_body
from controller.backends.docker.containers.inventory import Container, Containers
from controller.backends.docker.containers.observation import Facet
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.client import Engine
from controller.backends.observation import Observed


class LimitsFacet(Facet):
    """The limits of all runtimes."""

    def __init__(self, engine: Engine, containers: Containers) -> None:
        self._engine = engine
        self._containers = containers

    async def observe(self, target: Target, container: Container | None, observed: Observed) -> Observed:
        """Add the limits, and a warning if the host cannot limit memory. Raises Refusal."""
        if container is None:
            return observed
        unbounded = await self._lacks_memory_limit(container, target.spec.resources)
        warning = (reasons.MEMORY_UNBOUNDED, reasons.meaning(reasons.MEMORY_UNBOUNDED))
        return replace(
            observed,
            limits=_resources(container, target.spec.resources, unbounded=unbounded),
            warnings=(*observed.warnings, *([warning] if unbounded else [])),
        )

    async def update(self, target: Target) -> None:
        """Change CPU and memory limits without a restart."""
        container = await self._containers.require(target.identity)
        wanted = create_body.limits(target.spec.resources)
        cpus, memory = _host_capacity()
        given = wanted | ({} if wanted["NanoCpus"] else {"NanoCpus": cpus * 10**9})
        given |= {} if wanted["Memory"] else {"Memory": memory, "MemorySwap": memory}
        # The SDK's update_container has no NanoCpus.
        try:
            await self._engine.post(f"/containers/{container.id}/update", given)
        except failures.Refusal as refusal:
            # Removed since: the next observation decides what to do.
            if refusal.status != 404:
                raise

    async def _lacks_memory_limit(self, container: Container, desired: runtimes.Resources) -> bool:
        """Whether the engine dropped the desired limit because the host does not support one."""
        missing = quantities.memory_bytes(desired.memory) and not container.host_config.get("Memory")
        return bool(missing) and not await self._containers.can_limit_memory()


def _resources(container: Container, desired: runtimes.Resources, *, unbounded: bool) -> runtimes.Resources:
    """The limits. A limit of the whole host counts as none if none is desired.

    ``unbounded``: the host cannot limit memory, so report the desired limit to avoid drift.
    """
    cpus, memory = _host_capacity()
    nano, limit = container.host_config.get("NanoCpus") or 0, container.host_config.get("Memory") or 0
    if nano >= cpus * 10**9 and not quantities.nano_cpus(desired.cpu):
        nano = 0
    if limit >= memory and not quantities.memory_bytes(desired.memory):
        limit = 0
    limit = quantities.memory_bytes(desired.memory) if unbounded else limit
    return runtimes.Resources(cpu=f"{nano // 10**6}m" if nano else None, memory=str(limit) if limit else None)


def _host_capacity() -> tuple[int, int]:
    """The host's number of cores and bytes of memory."""
    # Both are those of the host even if the controller runs in a container with limits.
    return os.cpu_count() or 1, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
