"""Which of several equal processes leads: the one that holds a Lease (API reference: coordination.k8s.io/v1 Lease).

Times are counted on our own clock from when the Lease was seen to change: the clocks of two hosts need not agree.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from controller import errors
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.timestamps import rfc3339_micro

RELEASE_SECONDS = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """Seconds. What a leader opens must close within ``duration - deadline``, or two lead for a moment."""

    duration: float = 10.0  # a leader that was not heard of for so long has no Lease any more
    deadline: float = 7.0  # a leader that could not renew for so long stops leading
    every: float = 2.0  # between two attempts to renew, or to take it


class Election:
    """One candidate, by the name of ``candidate``, for the Lease ``name``."""

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        name: str,
        candidate: str,
        timing: Timing = Timing(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._candidate = candidate
        self._timing = timing
        self._clock = clock
        self._renewed = float("-inf")
        self._seen: tuple[Any, Any] = (None, None)
        self._seen_at = float("-inf")
        self._failing = False
        self.leads = False

    async def run(self, lead: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        """Stand for ever; while we lead, what ``lead`` opens is open. Cancelled, it closes and gives the Lease back.

        Raises what opening raises; the Lease is given back then as well.
        """
        while True:
            await self._win()
            log.info("%s leads", self._candidate)
            self.leads = True
            try:
                async with lead():
                    await self._hold()
            finally:
                self.leads = False
                await self._release()
            log.warning("%s no longer leads", self._candidate)

    async def _win(self) -> None:
        while True:
            if await self._try():
                return
            await asyncio.sleep(self._timing.every)

    async def _hold(self) -> None:
        """Renew until somebody else has it, or it could not be renewed in time."""
        loop = asyncio.get_running_loop()
        while (left := self._renewed + self._timing.deadline - loop.time()) > 0:
            await asyncio.sleep(min(self._timing.every, left))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._renewed + self._timing.deadline):
                    if not await self._try() and self._is_anothers():
                        return

    async def _try(self) -> bool:
        """Take or renew the Lease; whether that was done."""
        began = asyncio.get_running_loop().time()
        try:
            taken = await self._claim()
        except errors.ApiError as error:
            log.log(logging.DEBUG if self._failing else logging.WARNING, "No look at the Lease: %s", error)
            self._failing = not isinstance(error, errors.ConflictError)
            return False
        self._failing = False
        if taken:
            self._renewed = began
        return taken

    async def _claim(self) -> bool:
        """Raises errors.ApiError: also when somebody else was quicker."""
        try:
            found = await self._api.get(core_kinds.LEASES, self._name, self._namespace)
        except errors.NotFoundError:
            metadata = {"name": self._name, "namespace": self._namespace}
            await self._api.create(core_kinds.LEASES, {"metadata": metadata, "spec": self._spec({})})
            return True
        spec = found.get("spec") or {}
        self._look(spec)
        if self._is_anothers() and not self._is_expired(spec):
            return False
        await self._api.replace(core_kinds.LEASES, {**found, "spec": self._spec(spec)})
        return True

    def _look(self, spec: dict[str, Any]) -> None:
        seen = (spec.get("holderIdentity"), spec.get("renewTime"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, asyncio.get_running_loop().time()

    def _is_anothers(self) -> bool:
        return self._seen[0] not in (None, "", self._candidate)

    def _is_expired(self, spec: dict[str, Any]) -> bool:
        duration = spec.get("leaseDurationSeconds") or self._timing.duration
        return asyncio.get_running_loop().time() - self._seen_at > duration

    def _spec(self, before: dict[str, Any]) -> dict[str, Any]:
        now, ours = rfc3339_micro(self._clock()), before.get("holderIdentity") == self._candidate
        return {
            "holderIdentity": self._candidate,
            "leaseDurationSeconds": round(self._timing.duration),
            "acquireTime": before.get("acquireTime", now) if ours else now,
            "renewTime": now,
            "leaseTransitions": (before.get("leaseTransitions") or 0) + (not ours and bool(before)),
        }

    async def _release(self) -> None:
        """Let the next one in at once, where the API can be reached and the Lease is still ours."""
        with contextlib.suppress(errors.ApiError, TimeoutError):
            async with asyncio.timeout(RELEASE_SECONDS):
                found = await self._api.get(core_kinds.LEASES, self._name, self._namespace)
                if (spec := found["spec"]).get("holderIdentity") == self._candidate:
                    released = {"holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._api.replace(core_kinds.LEASES, {**found, "spec": {**spec, **released}})
