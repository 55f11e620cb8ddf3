"""Threads and a connection for one kind of call, so that no kind waits for another.

A shared client is thread-safe and drops a connection that failed by itself, so it is only replaced for another
version of the API. The one before is closed with the last thread that uses it: nothing is closed under a call.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from controller.backends.docker.engine.failures import Refusal
from controller.workers import Workers

if TYPE_CHECKING:
    from docker import APIClient
    from requests import HTTPError

T = TypeVar("T")


class Unanswered(Exception):  # noqa: N818 - an outcome
    """A call got no answer, so what came of it is unknown; ``late`` when the time for it ran out."""

    def __init__(self, words: str, *, late: bool) -> None:
        super().__init__(words)
        self.late = late


class Lane:
    """At most ``size`` calls at once to the engine at ``url``, each with ``seconds`` of silence.

    ``deadline`` also bounds a call as a whole, with its wait for a thread: an answer that trickles is no silence.
    """

    def __init__(self, url: str, name: str, size: int, seconds: int, deadline: int | None = None) -> None:
        self._url = url
        self._size = size
        self._seconds = seconds
        self._deadline = deadline
        self._workers = Workers(size, name)
        self._connecting = threading.Lock()  # held for no request
        self._client: tuple[str, APIClient] | None = None

    async def run(self, version: str, function: Callable[[APIClient], T]) -> T:
        """The result of calls in this version of the API. Raises Refusal and Unanswered."""
        try:
            async with asyncio.timeout(self._deadline):
                return await self.read(lambda: function(self._connected(version)))
        except TimeoutError as error:
            raise Unanswered("timed out", late=True) from error

    async def read(self, function: Callable[[], T]) -> T:
        """The result of a function that blocks, as the read of a stream does. Raises Refusal and Unanswered."""
        return await self._workers.run(lambda: _translated(function))

    def close(self) -> None:
        """Begin no more calls; those under way end by themselves, and nothing waits for them."""
        self._workers.close()
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client[1].close()  # the idle connections

    def _connected(self, version: str) -> APIClient:
        from docker import APIClient  # noqa: PLC0415 - 8 MB, only when there is something to do

        with self._connecting:
            if self._client is None or self._client[0] != version:
                made = APIClient(self._url, version, self._seconds, max_pool_size=self._size)
                self._client = (version, made)
            return self._client[1]


def _translated(function: Callable[[], T]) -> T:
    import docker.errors  # noqa: PLC0415 - with the SDK
    import requests.exceptions  # noqa: PLC0415

    try:
        return function()
    except requests.exceptions.HTTPError as error:  # the SDK's APIError is one
        raise Refusal(error.response.status_code, _said(error)) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise _unanswered(error) from error


def _said(error: HTTPError) -> str:
    """The engine's own words: the ``message`` of its answer (API reference: ErrorResponse)."""
    try:
        return str(error.response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return str(getattr(error, "explanation", None) or error)


def _unanswered(error: BaseException) -> Unanswered:
    causes: list[BaseException] = [cause for cause in _chain(error) if isinstance(cause, OSError)] or [error]
    late = any(isinstance(cause, TimeoutError) for cause in causes)
    return Unanswered(" ".join(str(causes[-1]).split())[:200] or type(causes[-1]).__name__, late=late)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from, down to the system call."""
    while error is not None:
        yield error
        error = error.__context__
