"""Renews the credentials of one client: before they expire, and after the API rejects them."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable

from controller import errors
from controller.machinery.backoff import Backoff
from controller.machinery.endpoint import Endpoint, Renew

RENEW_SECONDS = 60  # before the expiry: longer than a plugin may take
PAUSES = (10.0, 300.0)  # between two renewals: the first, and the longest after failures

log = logging.getLogger(__name__)


class Credentials:
    """The endpoint of one client; belongs to one event loop. ``clock`` is the time of day, in Unix seconds."""

    def __init__(self, endpoint: Endpoint, clock: Callable[[], float] = time.time) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._backoff = Backoff(*PAUSES)
        self._renewal: asyncio.Task[None] | None = None
        self._not_before = 0.0  # of the monotonic clock

    @property
    def endpoint(self) -> Endpoint:
        """The newest endpoint."""
        return self._endpoint

    async def current(self, rejected: Endpoint | None = None) -> Endpoint:
        """Return the endpoint, renewed if it is the ``rejected`` one or has expired.

        One that expires soon is renewed in the background. A failed renewal is logged and tried again later.
        """
        endpoint = self._endpoint
        if endpoint.renew is None:
            return endpoint
        left = float("inf") if endpoint.expires_at is None else endpoint.expires_at - self._clock()
        if endpoint is rejected or left < RENEW_SECONDS:
            renewal = self._renewing(endpoint.renew)
            if renewal and (endpoint is rejected or left <= 0):
                # A caller that gives up must not end the renewal for which others wait, and ``close`` no caller.
                await asyncio.wait({renewal})
        return self._endpoint

    async def close(self) -> None:
        """End a renewal that is running, and start no other one."""
        self._not_before = math.inf
        if (renewal := self._renewal) is not None:
            renewal.cancel()
            await asyncio.wait({renewal})

    def _renewing(self, renew: Renew) -> asyncio.Task[None] | None:
        """The renewal, shared by all callers; None while the pause after the last one lasts."""
        if self._renewal is None and time.monotonic() >= self._not_before:
            self._renewal = asyncio.create_task(self._renew(renew), name="credentials")
        return self._renewal

    async def _renew(self, renew: Renew) -> None:
        try:
            self._endpoint = await renew()
            self._backoff.reset()
        except errors.SettingError as error:
            log.warning("Cannot renew the credentials of the Kubernetes API: %s", error)
        finally:
            # Also after a success: a token that is rejected again would otherwise start a plugin for every request.
            self._not_before = max(self._not_before, time.monotonic() + self._backoff.next())
            self._renewal = None
