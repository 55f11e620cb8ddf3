"""Compares the rights of existing containers with those of their specs: real-time options and confinement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from controller.api import reasons
from controller.backends.base import Target
from controller.backends.docker.containers import confinement, labels
from controller.backends.docker.containers.inventory import Container
from controller.backends.docker.containers.observation import Facet
from controller.backends.observation import Observed


class RightsFacet(Facet):
    """The rights of all runtimes."""

    async def observe(self, target: Target, container: Container | None, observed: Observed) -> Observed:
        """Add warnings about real-time options that the host refused, and about excess rights."""
        if container is None:
            return observed
        return replace(observed, warnings=(*observed.warnings, *_warnings(container, target)))


def _warnings(container: Container, target: Target) -> Iterator[tuple[str, str]]:
    if target.spec.realtime.enabled and not labels.provenance(container.labels).realtime:
        yield reasons.REALTIME_UNAVAILABLE, reasons.meaning(reasons.REALTIME_UNAVAILABLE)
    if found := confinement.excess(container.host_config, has_ports=bool(target.spec.serial_ports)):
        remedy = f"`docker rm -f {container.name}` recreates it without them now, else the next replacement does"
        yield reasons.EXCESS_RIGHTS, f"The container has excess rights, it may {found}: {remedy}"
