"""Leader election with a Lease (API reference: coordination.k8s.io/v1 Lease).

Expiry is measured on the local clock from when a change of the Lease was observed, so the clocks of two hosts need not
agree.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from controller import errors
from controller.machinery import kinds as core_kinds
from controller.machinery.backoff import Backoff, Retry
from controller.machinery.client import ApiClient
from controller.machinery.controller import poll
from controller.machinery.timestamps import rfc3339_micro

RELEASE_SECONDS = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """Times in seconds. A leader must stop its work within ``duration - deadline``, or two lead for a moment."""

    duration: float = 10.0  # the Lease expires after this time without a renewal
    deadline: float = 7.0  # a leader that could not renew for this time stops leading
    every: float = 2.0  # interval of attempts to renew or acquire the Lease


class Election:
    """The candidate ``candidate`` for the Lease ``name``."""

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
        self._observed: tuple[Any, Any] = (None, None)
        self._observed_at = float("-inf")
        self._retry = Retry("acquire or renew the leader Lease", log, Backoff())

    async def run(self, lead: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        """Campaign forever, with the context of ``lead`` open while leading. On cancellation, releases the Lease.

        If opening the context raises, releases the Lease and propagates the exception.
        """
        while True:
            # A backoff that does not grow: however long it waits, a candidate notices a free Lease within ``every``.
            await poll(self._try, bool, math.inf, Backoff(self._timing.every, self._timing.every))
            log.info("%s is now the leader", self._candidate)
            try:
                async with lead():
                    await self._keep_renewed()
            finally:
                await self._release()
            log.warning("%s is no longer the leader", self._candidate)

    async def _keep_renewed(self) -> None:
        """Renew until another candidate has the Lease, or the deadline passes without a renewal."""
        loop = asyncio.get_running_loop()
        while (left := self._renewed + self._timing.deadline - loop.time()) > 0:
            await asyncio.sleep(min(self._timing.every, left))
            # A request may take 30 s, but leading ends at the deadline: another candidate may take over soon after.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._renewed + self._timing.deadline):
                    # A failed request is no loss: only a rival or the deadline ends the term.
                    if not await self._try() and self._is_held_by_other():
                        return

    async def _try(self) -> bool:
        """Acquire or renew the Lease; return whether it succeeded."""
        # The time before the request: the API may store the renewal long before its answer arrives.
        began = asyncio.get_running_loop().time()
        try:
            taken = await self._claim()
        except errors.ApiError as error:
            self._retry.failed(str(error))
            return False
        self._retry.succeeded()
        if taken:
            self._renewed = began
        return taken

    async def _claim(self) -> bool:
        """Write the Lease if it is free. Raises errors.ApiError, also when another candidate was faster."""
        try:
            found = await self._api.get(core_kinds.LEASES, self._name, self._namespace)
        except errors.NotFoundError:
            metadata = {"name": self._name, "namespace": self._namespace}
            written = await self._api.create(core_kinds.LEASES, {"metadata": metadata, "spec": self._spec({})})
            self._observe(written["spec"])
            return True
        spec = found.get("spec") or {}
        self._observe(spec)
        if self._is_held_by_other() and not self._is_expired(spec):
            return False
        # Guarded by the resourceVersion in ``found``: of two candidates, the slower one gets a conflict.
        written = await self._api.replace(core_kinds.LEASES, {**found, "spec": self._spec(spec)})
        # Ours now: while the holder before us counted, one failed renewal would end the term.
        self._observe(written["spec"])
        return True

    def _observe(self, spec: dict[str, Any]) -> None:
        # A candidate that has just started waits for the whole duration: it cannot know how old the renewal is.
        seen = (spec.get("holderIdentity"), spec.get("renewTime"))
        if seen != self._observed:
            self._observed, self._observed_at = seen, asyncio.get_running_loop().time()

    def _is_held_by_other(self) -> bool:
        return self._observed[0] not in (None, "", self._candidate)

    def _is_expired(self, spec: dict[str, Any]) -> bool:
        # The duration of the holder, which may be configured differently from ours.
        duration = spec.get("leaseDurationSeconds") or self._timing.duration
        return asyncio.get_running_loop().time() - self._observed_at > duration

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
        """Release the Lease if it is still ours, so that the next candidate need not wait for its expiry."""
        with contextlib.suppress(errors.ApiError, TimeoutError):
            async with asyncio.timeout(RELEASE_SECONDS):
                # As in client-go: the API may still have stored a renewal that was cancelled.
                while not await self._released():
                    pass

    async def _released(self) -> bool:
        """Release the Lease if it is ours; False if somebody wrote it meanwhile."""
        found = await self._api.get(core_kinds.LEASES, self._name, self._namespace)
        spec = found.get("spec") or {}
        if spec.get("holderIdentity") != self._candidate:
            return True
        # As client-go releases a Lease: the API accepts no duration of 0.
        released = {"holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._api.replace(core_kinds.LEASES, {**found, "spec": {**spec, **released}})
        except errors.ConflictError:
            return False
        return True
