"""Starts the roles of this process (roles.py), its own part beside them, and the port that reports its health."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

from controller import __version__, names
from controller.backends.docker.engine.lane import EngineLimits
from controller.machinery import kinds as core_kinds
from controller.machinery.controller import Controller
from controller.machinery.supervisor import Liveness
from controller.manager import roles
from controller.manager.environment import Environment
from controller.manager.installation import Installation, Shutdown
from controller.manager.roles import Part, Role
from controller.metrics.prometheus import Metrics, Sources
from controller.metrics.server import Check, StatusServer
from controller.nodes.disks import STATE
from controller.nodes.link_status import LinkStatus
from controller.systemd import Notifier

LOOP_SECONDS = 20.0  # time without a heartbeat after which the main loop counts as stuck
LOOP_BEAT_SECONDS = 2.0


def environment(
    installation: Installation, stack: AsyncExitStack, notifier: Notifier, shutdown: Shutdown, limits: EngineLimits
) -> Environment:
    """What the roles of this process are built from."""
    disk = installation.disk
    sources = Sources(host=None, containers=dict, runtimes=dict, disks=lambda: {STATE: disk.fault})
    return Environment(
        installation=installation,
        stack=stack,
        liveness=Liveness(),
        metrics=Metrics(__version__, sources),
        notifier=notifier,
        link_status=LinkStatus(installation.settings.cloud_url),
        shutdown=shutdown,
        limits=limits,
    )


async def start(env: Environment) -> None:
    """Start the roles, and last the port. Raises errors.SettingError."""
    settings = env.installation.settings
    own = Role("process", _own, standalone="process", cluster="process")
    checks = await roles.start([own, *roles.chosen(settings, "process")], env)
    listen = settings.http_listen
    server = StatusServer(listen.host, listen.port, env.liveness, checks, env.metrics)
    await server.start()
    env.stack.push_async_callback(server.stop)


async def _own(env: Environment) -> Part:
    """The part of every process: its watchdog and, with roles that only a leader has, the election."""
    settings, notifier = env.installation.settings, env.notifier
    beat = env.beat("the main loop", LOOP_SECONDS)
    # It does nothing: that the loop gets to it at all is the proof.
    alive = Controller("prove that the loop runs", partial(asyncio.sleep, 0), period=LOOP_BEAT_SECONDS, beat=beat)
    feed = partial(notifier.feed_watchdog, env.liveness.stale)
    # sd_watchdog_enabled(3) recommends half of the interval; 0 means no watchdog, so there is nothing to repeat.
    watchdog = Controller("feed the watchdog", feed, period=notifier.watchdog_seconds / 2 or None)
    controllers = {"the main loop's heartbeat": alive.run, "systemd's watchdog": watchdog.run}
    if rows := roles.chosen(settings, "term"):
        from controller.machinery.leader_election import Election  # noqa: PLC0415 - not standalone

        # A restarted container keeps its host name, and must not take the Lease of its predecessor for its own.
        candidate = f"{socket.gethostname()}_{secrets.token_hex(4)}"
        election = Election(env.installation.api, settings.namespace, names.LEADER_LEASE, candidate)
        controllers["the leader election"] = partial(election.run, partial(_term, rows, env))
    return Part(controllers, {"api": _api_check(env.installation)})


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
