"""The connections of an API client, with credentials that are renewed while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple

import aiohttp

from controller.machinery import connections
from controller.machinery.credentials import Credentials
from controller.machinery.endpoint import Endpoint


class Request(NamedTuple):
    """One request; a ``watching`` one may occupy its connection for minutes."""

    method: str
    path: str
    timeout: aiohttp.ClientTimeout
    params: dict[str, str] | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    data: bytes | None = None
    watching: bool = False


class Sessions:
    """Sends requests, at most ``at_once`` and any number of watches with lines of at most ``line_limit`` bytes."""

    def __init__(self, endpoint: Endpoint, user_agent: str, at_once: int, line_limit: int) -> None:
        self.endpoint = endpoint  # of the open sessions
        self._credentials = Credentials(endpoint)
        self._user_agent = user_agent
        self._at_once = at_once
        self._line_limit = line_limit
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._outdated: list[aiohttp.ClientSession] = []
        self._opening = asyncio.Lock()

    async def send(self, request: Request) -> aiohttp.ClientResponse:
        """Send a request; once more, with renewed credentials, after 401, as then nothing was done.

        Raises aiohttp.ClientError and OSError.
        """
        await self._credentials.current()
        endpoint, response = await self._attempt(request)
        if response.status != HTTPStatus.UNAUTHORIZED or await self._credentials.current(endpoint) is endpoint:
            return response
        response.release()
        return (await self._attempt(request))[1]

    async def reset(self) -> None:
        """Close all connections; the next request reads the certificates again."""
        sessions, self._sessions, self._outdated = [*self._sessions.values(), *self._outdated], {}, []
        for session in sessions:
            await session.close()

    async def close(self) -> None:
        """Close all connections, and renew no credentials any more."""
        await self._credentials.close()
        await self.reset()

    async def _attempt(self, request: Request) -> tuple[Endpoint, aiohttp.ClientResponse]:
        endpoint, session = await self._open(watching=request.watching)
        headers = {**request.headers, **await endpoint.headers()}
        if session.closed:  # meanwhile, after a TLS error of another request; aiohttp raises a RuntimeError
            raise aiohttp.ClientConnectionError("the connection was closed")
        response = await session.request(
            request.method,
            endpoint.base_url + request.path,
            params=request.params,
            data=request.data,
            headers=headers,
            timeout=request.timeout,
        )
        return endpoint, response

    async def _open(self, *, watching: bool) -> tuple[Endpoint, aiohttp.ClientSession]:
        """Open separate sessions for requests and for watches."""
        async with self._opening:
            endpoint = self._credentials.endpoint
            if not endpoint.same_connection(self.endpoint):
                await self._set_aside()
            self.endpoint = endpoint
            if watching not in self._sessions:
                self._sessions[watching] = aiohttp.ClientSession(
                    connector=await connections.connector(endpoint, 0 if watching else self._at_once),
                    headers={"User-Agent": self._user_agent},
                    # aiohttp fails with a ValueError on a line of more than twice its buffer.
                    read_bufsize=self._line_limit,
                    proxy=endpoint.proxy,
                )
            return endpoint, self._sessions[watching]

    async def _set_aside(self) -> None:
        """Keep the sessions with the previous certificate until the next change: requests still run on them."""
        outdated, self._outdated, self._sessions = self._outdated, list(self._sessions.values()), {}
        for session in outdated:
            await session.close()
