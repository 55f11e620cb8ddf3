"""The Docker backend: implements backends/protocol.Backend.

Delegates each call to one of its parts, and translates the engine's refusals into outcomes of a reconciliation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from ipaddress import IPv4Network

from controller import names
from controller.backends.base import Contact, Identity, LabeledContainer, Progress, RunningContainer, Step, Target
from controller.backends.docker.containers import labels, rights
from controller.backends.docker.containers.exits import ContainerExits
from controller.backends.docker.containers.observation import ContainerObserver
from controller.backends.docker.containers.processes import Logs, Processes
from controller.backends.docker.containers.purge import Purge
from controller.backends.docker.containers.rights import SurveyFindings
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.capabilities import Capabilities
from controller.backends.docker.engine.client import Engine
from controller.backends.docker.engine.events import Events
from controller.backends.docker.engine.lane import LIMITS, EngineLimits
from controller.backends.docker.facets import assemble as assemble_facets
from controller.backends.docker.networking.attachments import Attachments
from controller.backends.docker.parts import HostServices, assemble
from controller.backends.docker.steps import Steps
from controller.backends.observation import Observed
from controller.network import interfaces
from controller.network.parents import Parents

DEFAULT_PIDS_LIMIT = 4096  # a compiler in a PLC runtime uses a few hundred


class DockerBackend:
    """Runtimes as containers of the engine at ``url``, for one installation.

    ``internal_pool`` is the range for internal networks (see networks.py), ``settle_seconds`` how long a replacement
    must run before the old container is removed, ``pids_limit`` how many processes a new container may have.
    ``parents`` manages the host's parent interfaces, and ``interface_kind`` returns the kind of an interface. With
    ``dedicate_addressed`` a dedicated interface may have addresses of the host.
    Connects at the first call. Belongs to one event loop.
    """

    needs_secrets = True

    def __init__(
        self,
        url: str,
        install_id: str,
        internal_pool: IPv4Network,
        host: HostServices,
        *,
        settle_seconds: float = 5.0,
        pids_limit: int = DEFAULT_PIDS_LIMIT,
        dedicate_addressed: bool = False,
        parents: Parents | None = None,
        interface_kind: Callable[[str], str] = interfaces.kind_of,
        limits: EngineLimits = LIMITS,
    ) -> None:
        self._install_id = install_id
        self._engine = engine = Engine(url, limits)
        self._parts = parts = assemble(
            engine, install_id, internal_pool, host, parents, dedicate_addressed=dedicate_addressed
        )
        self._containers = containers = parts.containers
        attachments, exits = Attachments(parts), ContainerExits()
        facets = assemble_facets(parts, host, attachments, interface_kind)
        self._steps = Steps(
            parts, attachments, facets, install_id, settle_seconds=settle_seconds, pids_limit=pids_limit, limits=limits
        )
        self._observer = ContainerObserver(containers, exits, facets)
        self._events = Events(engine, containers, exits, install_id)
        self._processes = Processes(engine, containers, install_id)
        self._logs = Logs(engine, containers)
        self._purge = Purge(engine, containers, parts.networks, parts.parents, install_id)
        self._capabilities: Capabilities | None = None

    async def observe(self, target: Target, *, predecessor: bool = True) -> Observed:
        """Observe the current state. Raises errors.Waiting(DAEMON_UNREACHABLE)."""
        with failures.translated():
            # The plan is pure: changes_in_place decides from what the last observation of its pass left here.
            self._capabilities = await self._engine.capabilities()
            return await self._observer.observe(target, predecessor=predecessor)

    def expect(self, steps: Collection[Step], target: Target) -> None:
        """Begin the address probe of a start and the look before a restart, which wait only for what is left of it."""
        self._steps.expect(steps, target)

    async def execute(self, step: Step, target: Target, progress: Progress) -> Target:
        """Execute one step; see protocol.Backend."""
        with failures.translated():
            return await self._steps.of(step)(target, progress)

    def changes_in_place(self, target: Target, observed: Observed) -> bool:  # noqa: ARG002 - the protocol's
        """Whether RepairNetworks can make the interfaces of this container match the spec.

        Always on a running container. A stopped one is better replaced when the engine would lose the MAC address of
        an interface by reconnecting it.
        """
        capabilities = self._capabilities
        # Below API 1.44 a container has one MAC address, which survives a reconnect; from 1.54 a connect can set it.
        keeps_mac = capabilities is None or capabilities.connect_pins_mac or not capabilities.several_endpoints
        return observed.running or keeps_mac

    async def owner_uid(self, identity: Identity) -> str:
        """The uid of the Runtime that the container was created for, "" without one."""
        with failures.translated():
            found = await self._containers.current(identity)
        return found.labels.get(names.UID_LABEL, "") if found else ""

    async def hand_over(self, successor: Target) -> None:
        """Do nothing: labels of a container cannot change, and objects of the engine have no owner."""

    def changes(self) -> AsyncIterator[Identity | Contact]:
        """Yield the identity of each runtime that changes, forever; CONNECTED at first and after each gap."""
        return self._events.changes()

    async def running(self) -> list[RunningContainer]:
        """All running containers of this installation."""
        with failures.translated():
            return await self._processes.running()

    async def list_containers(self) -> list[LabeledContainer]:
        """All containers of this installation, running or not."""
        with failures.translated():
            found = await self._containers.of_install(self._install_id)
        return [LabeledContainer(identity, entry["Names"][0].lstrip("/"), entry["Id"]) for identity, entry in found]

    async def foreign_container(self, name: str) -> str:
        """Describe the container with this name that is not ours, "" when there is none."""
        with failures.translated():
            found = await self._containers.named(name)
        if found is None or labels.identity_of(found.labels, self._install_id):
            return ""
        return found.describe()

    async def logs(self, identity: Identity, *, tail: int, follow: bool) -> AsyncIterator[bytes]:
        """Stream the runtime's output. Raises errors.NotFoundError."""
        with failures.translated():
            return await self._logs.read(identity, tail=tail, follow=follow)

    async def list_objects(self, *, volumes: bool) -> list[str]:
        """Describe every object of this installation."""
        with failures.translated():
            return await self._purge.list_objects(volumes=volumes)

    async def purge(self, *, volumes: bool) -> list[str]:
        """Remove every object of this installation; return descriptions of what was removed."""
        # While the containers exist: a virtual interface dies with its namespace unless our mount still holds that. Not
        # translated, because it calls no engine.
        await self._parts.dedication.take_all_back()
        with failures.translated():
            return await self._purge.run(volumes=volumes)

    async def survey(self) -> SurveyFindings:
        """Inspect the engine for `edge-controller check`. Raises errors.Waiting(DAEMON_UNREACHABLE)."""
        with failures.translated():
            return await rights.survey(self._engine)

    async def root(self) -> str:
        """The engine's data directory, "" when unknown. Raises errors.Waiting(DAEMON_UNREACHABLE)."""
        with failures.translated():
            return (await self._engine.info()).root

    async def check(self) -> None:
        """Ping the engine, which is cheap. Raises errors.Waiting(DAEMON_UNREACHABLE)."""
        # Nothing to translate: the breaker counts a refused ping as a missing answer.
        await self._engine.check()

    def close(self) -> None:
        """Close the connection to the engine; runtimes keep running."""
        self._engine.close()
