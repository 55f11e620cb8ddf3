"""Observes a runtime's container; each facet adds its part. Read-only: one or two engine calls, and the facets' own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from controller import names
from controller.backends import base
from controller.backends.base import Identity, Target
from controller.backends.docker.containers import labels
from controller.backends.docker.containers.exits import ContainerExit, ContainerExits
from controller.backends.docker.containers.inventory import Container, Containers, is_of
from controller.backends.observation import Observed, ObservedImage

_NEVER = "0001-01-01T00:00:00Z"


class Facet:
    """The Docker side of a facet of runtimes. Its steps are in the table of docker/steps.py."""

    async def observe(self, target: Target, container: Container | None, observed: Observed) -> Observed:
        """``observed`` with what this facet knows of the container, None while it is absent. Raises Refusal."""
        raise NotImplementedError

    def forget(self, identity: Identity) -> None:
        """Drop what is kept about a removed runtime; nothing by default."""


class ContainerObserver:
    """Observes runtimes. The order of the ``facets`` is that of reasons not to start, and of warnings."""

    def __init__(self, containers: Containers, exits: ContainerExits, facets: Sequence[Facet]) -> None:
        self._containers = containers
        self._exits = exits
        self._facets = facets

    async def observe(self, target: Target, *, predecessor: bool) -> Observed:
        """Observe the current state, see protocol.Backend. Raises errors.Waiting(DAEMON_UNREACHABLE) and Refusal."""
        if not predecessor:
            return await self._named(target)
        observed, previous = await asyncio.gather(self._named(target), self._containers.previous(target.identity))
        return replace(observed, predecessor=previous.id if previous else "")

    async def _named(self, target: Target) -> Observed:
        """The state of the container that has the runtime's name, or of the runtime's own that was renamed."""
        identity = target.identity
        # By name only, not as `current`: whatever else has the name must be reported, because it prevents a creation.
        found = await self._containers.named(identity.device_id)
        if found and is_of(found, identity):
            return await self._observe(target, found)
        neighbour = labels.taken_message(found.labels, identity.install_id) if found else ""
        renamed = await self._containers.renamed(target)
        return replace(
            await self._observe(target, renamed),
            renamed=renamed.name if renamed else "",
            neighbour=neighbour,
            foreign=found.describe() if found and not neighbour else "",
        )

    async def _observe(self, target: Target, container: Container | None) -> Observed:
        observed = self._described(container) if container else Observed()
        for facet in self._facets:
            observed = await facet.observe(target, container, observed)
        return observed

    def _described(self, container: Container) -> Observed:
        """The fields that the engine reports."""
        state, provenance, last_exit = container.state, labels.provenance(container.labels), self._last_exit(container)
        return Observed(
            state=state["Status"],
            container_id=container.id,
            image=ObservedImage(provenance.image, provenance.image_source),
            made_from=base.made_from(container.labels),
            uid=container.labels.get(names.UID_LABEL, ""),
            started_at=_time(state.get("StartedAt")),
            # From the kernel: StartedAt is wall time, and the clock of an edge host may be set by decades.
            started_seconds=container.started_seconds,
            finished_at=_time(state.get("FinishedAt")),
            exit_code=last_exit.exit_code if last_exit else None,
            oom_killed=bool(last_exit and last_exit.out_of_memory),
            error=state.get("Error", ""),
            restart_count=_restarts(container),
            health=(state.get("Health") or {}).get("Status", "none"),
        )

    def _last_exit(self, container: Container) -> ContainerExit | None:
        """The exit of the last run, from our record of events once the engine has started the container again."""
        state = container.state
        finished = _time(state.get("FinishedAt"))
        if state["Status"] in ("exited", "restarting", "dead"):
            return ContainerExit(finished, state.get("ExitCode") or 0, bool(state.get("OOMKilled")))
        return self._exits.of(container.id, finished) if finished else None


def _restarts(container: Container) -> int:
    """The number of restarts: while a restart is pending the engine has already counted it."""
    counted = int(container.document.get("RestartCount") or 0)
    return max(0, counted - 1) if container.state["Status"] == "restarting" else counted


def _time(text: str | None) -> str:
    return text if text and text != _NEVER else ""
