"""The whole controller: starts the API, then the rest of this process (process.py), and stops both in reverse order.

Only an unusable setting fails the start. A missing certificate, cloud or engine is waited for.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from controller.backends.docker.engine.lane import LIMITS, EngineLimits
from controller.manager import installation
from controller.manager.installation import Installation, Shutdown
from controller.settings import Settings
from controller.state import State
from controller.systemd import Notifier

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
            made = await self._install(stack)
            if made is not None:
                await self._start(made, stack)
                self._report_start(made)
                self._started()
            await self._shutdown.wait()
            self._notifier.stopping()
        log.info("Stopped; the runtimes keep running")
        # After the stack: until it is closed, the API, the leases and the history write into the directory.
        if self._shutdown.forget:
            await self._remove_everything()

    async def _install(self, stack: AsyncExitStack) -> Installation | None:
        if self._settings.api == "embedded":
            return await installation.standalone(self._settings, self._state, stack)
        return await installation.in_cluster(self._settings, self._state, stack, self._variables, self._shutdown)

    async def _start(self, made: Installation, stack: AsyncExitStack) -> None:
        # In a thread, so that the API answers meanwhile.
        await asyncio.to_thread(importlib.import_module, "controller.manager.process")
        from controller.manager import process  # noqa: PLC0415 - imported above

        await process.start(process.environment(made, stack, self._notifier, self._shutdown, self._limits))

    def _report_start(self, made: Installation) -> None:
        name, roles = made.node_name, ", ".join(self._settings.roles)
        self._notifier.ready(f"serving as {name}")
        log.info("Started as node %s (install id %s, roles %s)", name, made.install_id, roles)

    async def _remove_everything(self) -> None:
        from controller.backends.docker.containers import purge  # noqa: PLC0415 - only after delete_orchestrator

        # The container last, as its removal kills this process.
        await asyncio.to_thread(self._state.forget)
        await purge.remove_own_container(self._settings.docker_host)
