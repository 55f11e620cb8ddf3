"""A backend in memory, for tests that inject faults and crashes.

It implements protocol.Reconcilable; each step is idempotent, as required. ``effects`` records the real changes of a
container, so that a test can check that nothing was done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from controller import boottime, errors, names
from controller.api import reasons, runtimes
from controller.backends import base
from controller.backends.observation import Observed, ObservedImage, ObservedInterface, ObservedNetwork
from controller.machinery import timestamps


class Crash(BaseException):
    """The controller is killed at this point."""


@dataclass
class Container:
    """A container of the fake engine; ``attached`` are the interfaces on it, by name.

    What comes from the spec is JSON text, as an engine has no models: it is parsed at each observation.
    """

    id: str
    uid: str
    image: str
    record: dict[str, str]
    resources: str
    attached: dict[str, str]
    state: str = "created"
    started_at: str = ""
    started_seconds: float | None = None
    finished_at: str = ""
    exit_code: int | None = None
    oom_killed: bool = False
    restart_count: int = 0
    health: str = "none"
    internal: bool = True


Fault = Callable[[str, base.Step], Awaitable[None] | None]


@dataclass
class FakeBackend:
    """``fault(when, step)`` is called, and awaited, "before" and "after" each step; an exception aborts the step."""

    clock: Callable[[], float]
    elapsed: Callable[[], float] = boottime.now
    needs_secrets: bool = True
    containers: dict[base.Identity, Container] = field(default_factory=dict)
    networks: set[base.Identity] = field(default_factory=set)
    registry: dict[str, str] = field(default_factory=lambda: {"registry/plc:1": "pin-1", "registry/plc:2": "pin-2"})
    missing_parents: set[str] = field(default_factory=set)
    foreign: dict[str, str] = field(default_factory=dict)
    in_place: bool = True
    does_not_run: set[str] = field(default_factory=set)  # pins of images with a program that exits at once
    unreachable: bool = False
    fault: Fault = lambda when, step: None
    effects: list[str] = field(default_factory=list)
    expected: list[tuple[base.Step, ...]] = field(default_factory=list)
    successors: list[str] = field(default_factory=list)
    credentials: tuple[dict[str, str], ...] = ()
    secret_env: dict[str, str] = field(default_factory=dict)  # of the last created container
    pull_gate: asyncio.Event | None = None
    pulling: asyncio.Event = field(default_factory=asyncio.Event)
    pulls_abandoned: int = 0
    events: asyncio.Queue[base.Identity | base.Contact] = field(default_factory=asyncio.Queue)
    _ids: Any = field(default_factory=lambda: count(1))

    def only(self) -> Container:
        """The only container."""
        (container,) = self.containers.values()
        return container

    async def observe(self, target: base.Target, *, predecessor: bool = True) -> Observed:
        if self.unreachable:
            raise errors.Waiting(reasons.DAEMON_UNREACHABLE, "Docker does not answer")
        wanted = {interface.parent_interface for interface in target.spec.interfaces}
        missing = tuple(sorted(wanted & self.missing_parents))
        foreign = self.foreign.get(target.spec.device_id, "")
        container = self.containers.get(target.identity)
        if container is None:
            return Observed(network=ObservedNetwork(missing_parents=missing), foreign=foreign)
        observed = _observed(container, target.spec)
        return replace(observed, network=replace(observed.network, missing_parents=missing), foreign=foreign)

    def expect(self, steps: Collection[base.Step], target: base.Target) -> None:
        self.expected.append(tuple(steps))

    async def execute(self, step: base.Step, target: base.Target, progress: base.Progress) -> base.Target:
        await self._inject("before", step)
        action = getattr(self, f"_{step.value}")
        target = await action(target, progress) or target
        await self._inject("after", step)
        return target

    async def _inject(self, when: str, step: base.Step) -> None:
        if (pending := self.fault(when, step)) is not None:
            await pending

    async def owner_uid(self, identity: base.Identity) -> str:
        if self.unreachable:
            raise errors.Waiting(reasons.DAEMON_UNREACHABLE, "Docker does not answer")
        return self.containers[identity].uid if identity in self.containers else ""

    async def hand_over(self, successor: base.Target) -> None:
        self.successors.append(successor.name)

    def changes_in_place(self, target: base.Target, observed: Observed) -> bool:
        return self.in_place

    async def changes(self) -> AsyncIterator[base.Identity | base.Contact]:
        while True:
            yield await self.events.get()

    async def list_containers(self) -> list[base.LabeledContainer]:
        return [base.LabeledContainer(identity, identity.device_id, c.id) for identity, c in self.containers.items()]

    async def _ResolveImage(self, target: base.Target, progress: base.Progress) -> base.Target:  # noqa: N802
        self.credentials = target.pull_credentials
        if target.image:
            return target
        if self.pull_gate:
            await progress(reasons.IMAGE_PULLING, "Pulling: 10 %")
            self.pulling.set()
            try:
                await self.pull_gate.wait()
            except asyncio.CancelledError:
                self.pulls_abandoned += 1
                raise
        reference = target.spec.image_reference
        if reference not in self.registry:
            raise errors.Stalled(reasons.IMAGE_NOT_FOUND, f"There is no image {reference}")
        self.effects.append(f"resolve {reference}")
        return replace(target, image=self.registry[reference])

    async def _CreateContainer(self, target: base.Target, progress: base.Progress) -> None:  # noqa: N802
        self.networks.add(target.identity)
        if target.identity not in self.containers:
            self.containers[target.identity] = self._make(target)
            self.secret_env = target.secret_env
            self.effects.append("create")

    async def _StartContainer(self, target: base.Target, progress: base.Progress) -> None:  # noqa: N802
        container = self.containers[target.identity]
        if container.state != "running":
            self._start(container, target)
            self.effects.append("start")

    async def _StopContainer(self, target: base.Target, progress: base.Progress) -> None:  # noqa: N802
        self.end(self.containers[target.identity], "exited", 0)
        self.effects.append("stop")

    async def _RestartContainer(self, target: base.Target, progress: base.Progress) -> None:  # noqa: N802
        self.end(self.containers[target.identity], "exited", 0)
        self._start(self.containers[target.identity], target)
        self.effects.append("restart")

    async def _ReplaceContainer(self, target: base.Target, progress: base.Progress) -> None:  # noqa: N802
        if target.image in self.does_not_run:
            self.end(self.containers[target.identity], "exited", 0)
            self._start(self.containers[target.identity], target)
            self.effects.append("roll back")
            raise errors.Stalled(reasons.REPLACE_FAILED, "The new container did not run")
        self.containers[target.identity] = new = self._make(target)
        self.secret_env = target.secret_env
        self._start(new, target)
        self.effects.append("replace")

    async def _RepairNetworks(self, target: base.Target, progress: base.Progress) -> None:  # noqa: N802
        container = self.containers[target.identity]
        container.internal = True
        for interface in target.spec.interfaces:
            if interface.parent_interface not in self.missing_parents:
                container.attached[interface.name] = interface.model_dump_json()
        interfaces = {interface.name for interface in target.spec.interfaces}
        container.attached = {name: value for name, value in container.attached.items() if name in interfaces}
        self.effects.append("repair")

    async def _UpdateResources(self, target: base.Target, progress: base.Progress) -> None:  # noqa: N802
        self.containers[target.identity].resources = target.spec.resources.model_dump_json()
        self.effects.append("update")

    async def _RemoveContainer(self, target: base.Target, progress: base.Progress) -> None:  # noqa: N802
        if self.containers.pop(target.identity, None):
            self.effects.append("remove")

    async def _RemoveNetworks(self, target: base.Target, progress: base.Progress) -> None:  # noqa: N802
        self.networks.discard(target.identity)

    def _make(self, target: base.Target) -> Container:
        assert target.image, "a container is made from a pinned image"
        return Container(
            id=f"container-{next(self._ids)}",
            uid=target.uid,
            image=target.image,
            record=base.record(target, target.image, target.spec.image_reference),
            resources=target.spec.resources.model_dump_json(),
            attached={interface.name: interface.model_dump_json() for interface in target.spec.interfaces},
        )

    def _start(self, container: Container, target: base.Target) -> None:
        if missing := {i.parent_interface for i in target.spec.interfaces} & self.missing_parents:
            raise errors.Waiting(reasons.PARENT_MISSING, f"{missing} is missing")
        container.state, container.started_at = "running", self.now()
        container.started_seconds = self.elapsed()
        container.restart_count = 0

    def now(self) -> str:
        """The time in the engine's format."""
        return timestamps.rfc3339_micro(self.clock())

    def end(self, container: Container, state: str, code: int) -> None:
        """Let the program exit; ``restarting`` if the engine will restart it."""
        container.state, container.exit_code, container.finished_at = state, code, self.now()

    def crash(self, container: Container) -> None:
        """Let the engine restart the program after a crash."""
        container.state, container.started_at = "running", self.now()
        container.started_seconds = self.elapsed()
        container.restart_count += 1


def _observed(container: Container, spec: runtimes.RuntimeSpec) -> Observed:
    return Observed(
        state=container.state,
        container_id=container.id,
        image=ObservedImage(container.image, container.record[names.IMAGE_SOURCE_LABEL]),
        made_from=base.made_from(container.record),
        uid=container.uid,
        started_at=container.started_at,
        started_seconds=container.started_seconds if container.state == "running" else None,
        finished_at=container.finished_at,
        exit_code=container.exit_code,
        oom_killed=container.oom_killed,
        restart_count=container.restart_count,
        health=container.health,
        network=ObservedNetwork(
            interfaces=tuple(_interface(text, spec) for text in container.attached.values()),
            internal_ip="10.213.0.2" if container.state == "running" else "",
            internal_attached=container.internal,
        ),
        limits=runtimes.Resources.model_validate_json(container.resources),
    )


def _interface(text: str, spec: runtimes.RuntimeSpec) -> ObservedInterface:
    attached = runtimes.Interface.model_validate_json(text)
    interfaces = next((i for i in spec.interfaces if i.name == attached.name), None)
    return ObservedInterface(
        name=attached.name,
        parent_interface=attached.parent_interface,
        attached=True,
        address=attached.address or "",
        mac_address="02:00:00:00:00:01",
        gateway=attached.gateway or "",
        in_order=attached == interfaces,
    )
