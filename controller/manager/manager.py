"""The whole controller: starts the API, then the roles of this process (roles.py), and stops them in reverse order.

Only an unusable setting fails the start. A missing certificate, cloud or engine is waited for.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

from controller import __version__, names
from controller.backends.docker.engine.lane import LIMITS, EngineLimits
from controller.machinery import kinds as core_kinds
from controller.machinery.controller import Controller
from controller.machinery.leader_election import Election
from controller.machinery.supervisor import Liveness
from controller.manager import environment, roles
from controller.manager.environment import Environment, Installation, Shutdown
from controller.manager.roles import Part, Role
from controller.metrics.prometheus import Metrics, Sources
from controller.metrics.server import Check, StatusServer
from controller.nodes.disks import STATE
from controller.nodes.link_status import LinkStatus
from controller.settings import Settings
from controller.state import State
from controller.systemd import Notifier

LOOP_SECONDS = 20.0  # time without a heartbeat after which the main loop counts as stuck
LOOP_BEAT_SECONDS = 2.0

log = logging.getLogger(__name__)


class Manager:
    """One run of the controller. ``stop`` may be called from a signal handler, any number of times.

    ``started`` is called once everything runs.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        variables: Mapping[str, str],
        started: Callable[[], None],
        limits: EngineLimits = LIMITS,
    ) -> None:
        self._settings = settings
        self._state = state
        self._variables = variables
        self._started = started
        self._limits = limits
        self._notifier = Notifier(variables)
        self._shutdown = Shutdown()

    def stop(self) -> None:
        """Make ``run`` stop properly; the runtimes keep running."""
        self._shutdown.request()

    async def run(self) -> None:
        """Serve until stopped. Raises errors.SettingError when a setting cannot be used."""
        async with AsyncExitStack() as stack:
            installation = await self._install(stack)
            if installation is not None:
                await self._start(self._environment(installation, stack))
                self._report_start(installation)
                self._started()
            await self._shutdown.wait()
            self._notifier.stopping()
        log.info("Stopped; the runtimes keep running")
        # After the stack: until it is closed, the API, the leases and the history write into the directory.
        if self._shutdown.forget:
            await self._remove_everything()

    async def _install(self, stack: AsyncExitStack) -> Installation | None:
        if self._settings.api == "embedded":
            return await environment.standalone(self._settings, self._state, stack)
        return await environment.in_cluster(self._settings, self._state, stack, self._variables, self._shutdown)

    def _environment(self, installation: Installation, stack: AsyncExitStack) -> Environment:
        disk = installation.disk
        sources = Sources(host=None, containers=dict, runtimes=dict, disks=lambda: {STATE: disk.fault})
        return Environment(
            installation=installation,
            stack=stack,
            liveness=Liveness(),
            metrics=Metrics(__version__, sources),
            notifier=self._notifier,
            link_status=LinkStatus(self._settings.cloud_url),
            shutdown=self._shutdown,
            limits=self._limits,
        )

    async def _start(self, env: Environment) -> None:
        """Start the roles of the process, and last the port that reports its health."""
        own = Role("process", self._process, standalone="process", cluster="process")
        checks = await roles.start([own, *roles.chosen(self._settings, "process")], env)
        listen = self._settings.http_listen
        server = StatusServer(listen.host, listen.port, env.liveness, checks, env.metrics)
        await server.start()
        env.stack.push_async_callback(server.stop)

    async def _process(self, env: Environment) -> Part:
        """The part of every process: its watchdog and, with roles that only a leader has, the election."""
        beat = env.beat("the main loop", LOOP_SECONDS)
        # It does nothing: that the loop gets to it at all is the proof.
        alive = Controller("prove that the loop runs", partial(asyncio.sleep, 0), period=LOOP_BEAT_SECONDS, beat=beat)
        feed = partial(self._notifier.feed_watchdog, env.liveness.stale)
        # sd_watchdog_enabled(3) recommends half of the interval; 0 means no watchdog, so there is nothing to repeat.
        watchdog = Controller("feed the watchdog", feed, period=self._notifier.watchdog_seconds / 2 or None)
        controllers = {"the main loop's heartbeat": alive.run, "systemd's watchdog": watchdog.run}
        if rows := roles.chosen(self._settings, "term"):
            # A restarted container keeps its host name, and must not take the Lease of its predecessor for its own.
            candidate = f"{socket.gethostname()}_{secrets.token_hex(4)}"
            election = Election(env.installation.api, self._settings.namespace, names.LEADER_LEASE, candidate)
            controllers["the leader election"] = partial(election.run, partial(_term, rows, env))
        return Part(controllers, {"api": _api_check(env.installation)})

    def _report_start(self, installation: Installation) -> None:
        name, roles_text = installation.node_name, ", ".join(self._settings.roles)
        self._notifier.ready(f"serving as {name}")
        log.info("Started as node %s (install id %s, roles %s)", name, installation.install_id, roles_text)

    async def _remove_everything(self) -> None:
        from controller.backends.docker.containers import purge  # noqa: PLC0415 - only after delete_orchestrator

        # The container last, as its removal kills this process.
        await asyncio.to_thread(self._state.forget)
        await purge.remove_own_container(self._settings.docker_host)


@asynccontextmanager
async def _term(rows: Sequence[Role], env: Environment) -> AsyncIterator[None]:
    """Run the leader's roles for one term."""
    # A stack of its own: the end of a term closes what the term opened, and nothing of the process.
    async with AsyncExitStack() as stack:
        await roles.start(rows, replace(env, stack=stack))
        yield


def _api_check(installation: Installation) -> Check:
    """Return a check that the API answers."""

    async def kubernetes() -> None:
        await installation.api.get(core_kinds.NAMESPACES, installation.settings.namespace)

    return kubernetes
