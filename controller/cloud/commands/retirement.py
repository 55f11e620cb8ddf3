"""``delete_orchestrator``: deletes the cloud's runtimes, then retires the agent, whose link then stays down for good.

Resumes after a power cut: the command stays unfinished in the journal until the agent is retired.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from controller import errors, names
from controller.api import kinds
from controller.cloud.answers import Answer
from controller.cloud.commands import ownership, rollout
from controller.cloud.commands.call import Call
from controller.cloud.commands.journal import Journal
from controller.cloud.contracts.base import ORCHESTRATOR, Message
from controller.machinery.backoff import Backoff
from controller.machinery.client import ApiClient
from controller.machinery.controller import Controller
from controller.machinery.timestamps import rfc3339_micro

TOPIC = "delete_orchestrator"
LINGER_SECONDS = 30.0  # the link stays up this long so that the cloud can query the final progress
RETRY_SECONDS = 5.0


class RetirementHooks(NamedTuple):
    """Callbacks of the final steps. ``retire`` sets the marker that keeps the link down, ``shut_down`` ends the rest.

    ``shut_down`` is called with whether Runtimes of others remain: then the controller keeps running for them.
    """

    retire: Callable[[], Awaitable[None]]
    shut_down: Callable[[bool], Awaitable[None]]
    linger_seconds: float = LINGER_SECONDS


class Retirement:
    """Owns the task that deletes the orchestrator, from the command until the agent is retired."""

    def __init__(
        self, api: ApiClient, journal: Journal, hooks: RetirementHooks, clock: Callable[[], float] = time.time
    ) -> None:
        self._api = api
        self._journal = journal
        self._hooks = hooks
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._progress: Answer = {"status": "not_found", "message": "the orchestrator is not being deleted"}

    def in_progress(self) -> bool:
        """Whether the orchestrator is being deleted, or was."""
        return self._task is not None

    def progress(self) -> Answer:
        """The answer of ``get_device_status`` for the orchestrator."""
        return self._progress

    async def delete_orchestrator(self, _message: Message, call: Call) -> Answer:
        """Start deleting; answers at once, and the work continues in the background."""
        # First, so that a redelivery gets its first answer instead of the refusal below.
        await call.begin()
        if self.in_progress():
            raise errors.CommandError("the orchestrator is already being deleted")
        self._begin(call.name)
        return {
            "status": "accepted",
            "message": "the orchestrator is being deleted",
            "poll_device_id": ORCHESTRATOR,
        }

    async def resume(self) -> None:
        """Resume an interrupted deletion; called once at start. Raises errors.ApiError."""
        unfinished = await self._journal.unfinished(TOPIC)
        if unfinished and not self.in_progress():
            self._begin(unfinished[-1])

    async def stop(self) -> None:
        """Stop the task; its command stays unfinished in the journal."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self, command: str) -> None:
        started_at = rfc3339_micro(self._clock())
        self._progress = {"status": "deleting", "operation": "deleting", "started_at": started_at}
        self._report("starting")
        backoff = Backoff(RETRY_SECONDS, RETRY_SECONDS)
        controller = Controller("delete the orchestrator", partial(self._try, command), backoff=backoff)
        self._task = asyncio.create_task(controller.run(), name=TOPIC)

    async def _try(self, command: str) -> None:
        """Do all steps that are left. Failures are also reported in the progress."""
        try:
            await self._retire(command)
        except errors.EdgeError as error:
            self._report(f"retrying: {error}")
            raise
        except Exception:
            self._report("retrying after an internal error")
            raise

    async def _retire(self, command: str) -> None:
        await self._delete_runtimes()
        self._report("done", status="success")
        await asyncio.sleep(self._hooks.linger_seconds)
        # The marker before the journal: a crash in between is resumed, while the other order could leave the link up.
        await self._hooks.retire()
        await self._journal.finish(command)
        await self._hooks.shut_down(bool(await self._api.list(kinds.RUNTIMES)))

    async def _delete_runtimes(self) -> None:
        """Delete all Runtimes first and then wait for each, so that they stop in parallel."""
        selector = f"{names.ORIGIN_LABEL}={names.ORIGIN_CLOUD}"
        made = await self._api.list(kinds.RUNTIMES, label_selector=selector)
        # A tool may have taken a Runtime over, which leaves the cloud's label on it.
        runtimes = [runtime for runtime in made if ownership.is_managed_by_cloud(runtime)]
        for runtime in runtimes:
            metadata = runtime["metadata"]
            await self._api.delete(kinds.RUNTIMES, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        for done, runtime in enumerate(runtimes):
            self._report(f"{done} of {len(runtimes)} runtimes removed, waiting for {runtime['spec']['deviceId']}")
            await rollout.wait_gone(self._api, runtime)

    def _report(self, step: str, status: str = "deleting") -> None:
        self._progress = {
            **self._progress,
            "status": status,
            "step": step,
            "updated_at": rfc3339_micro(self._clock()),
        }
