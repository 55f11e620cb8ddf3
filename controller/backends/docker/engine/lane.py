"""Threads and a connection for one kind of call, so that one kind does not wait for another; their timeouts and sizes.

A client is thread-safe and drops failed connections itself, so the lane replaces it only for another API version. The
last thread that uses the previous client frees it, so that no connection closes during a call.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from controller.backends.docker.engine.failures import Refusal
from controller.workers import Workers

if TYPE_CHECKING:
    from docker import APIClient
    from requests import HTTPError

T = TypeVar("T")


@dataclass(frozen=True)
class EngineLimits:
    """Read timeouts in seconds, and the number of concurrent calls of each kind.

    A stop may take its grace period plus ``change_seconds``. ``ping_seconds``: an engine that does not answer a ping
    within this time is unreachable. ``pull_seconds``: how long a registry may be silent. ``probe_seconds``: the first
    and the longest pause between pings of an unreachable engine. ``settle_seconds``: how long an engine that is back
    gets to carry out earlier calls. ``pulls`` is how many images are pulled at once.
    """

    ping_seconds: int = 5
    query_seconds: int = 20
    change_seconds: int = 120
    pull_seconds: int = 300
    probe_seconds: tuple[float, float] = (0.1, 5.0)
    settle_seconds: float = 0.5
    queries: int = 16
    changes: int = 16
    stops: int = 32
    logs: int = 16
    pulls: int = 4


LIMITS = EngineLimits()


class Unanswered(Exception):  # noqa: N818 - an outcome
    """A call got no answer, so its result is unknown; ``late`` when it timed out."""

    def __init__(self, message: str, *, late: bool) -> None:
        super().__init__(message)
        self.late = late


class Lane:
    """Runs at most ``size`` calls at once to the engine at ``url``, each with a read timeout of ``seconds``.

    ``deadline`` limits a whole call including its wait for a thread, because a trickling response never times out; the
    caller observes it.
    """

    def __init__(self, url: str, name: str, size: int, seconds: int, deadline: int | None = None) -> None:
        self.deadline = deadline
        self._url = url
        self._size = size
        self._seconds = seconds
        self._workers = Workers(size, name)
        self._connecting = threading.Lock()  # never held during a request
        self._client: tuple[str, APIClient] | None = None

    def call(self, version: str, function: Callable[[APIClient], T]) -> asyncio.Future[T]:
        """Run a call in this API version. Raises Refusal and Unanswered."""
        return self._workers.run(partial(self._call, version, function))

    def read(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Run a blocking function, such as the read of a stream. Raises Refusal and Unanswered."""
        return self._workers.run(_translated()(function))

    def close(self) -> None:
        """Reject new calls, and do not wait for running ones."""
        self._workers.close()
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client[1].close()  # closes only idle connections

    def _call(self, version: str, function: Callable[[APIClient], T]) -> T:
        with _translated():
            return function(self._connected(version))

    def _connected(self, version: str) -> APIClient:
        with self._connecting:
            if self._client is None or self._client[0] != version:
                # With version "auto" the constructor sends a request, and a hung engine would hold the lock.
                self._client = (version, self._connect(version))
            return self._client[1]

    def _connect(self, version: str) -> APIClient:
        from docker import APIClient  # noqa: PLC0415 - takes 8 MB, so only when needed

        from controller.backends.docker.engine import shared_pool  # noqa: PLC0415 - with the SDK

        made = APIClient(self._url, version, self._seconds, max_pool_size=self._size)
        if self._url.startswith("unix:"):
            # A socket needs no proxy and no password from ~/.netrc; looking for them takes a third of a call.
            made.trust_env = False
            shared_pool.share(made, self._url, self._size)
        return made


@contextmanager
def _translated() -> Iterator[None]:
    import docker.errors  # noqa: PLC0415 - with the SDK
    import requests.exceptions  # noqa: PLC0415

    try:
        yield
    except requests.exceptions.HTTPError as error:  # the SDK's APIError is one
        raise Refusal(error.response.status_code, _said(error)) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise _unanswered(error) from error


def _said(error: HTTPError) -> str:
    """The engine's error message (API reference: ErrorResponse)."""
    try:
        return str(error.response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return str(getattr(error, "explanation", None) or error)


def _unanswered(error: BaseException) -> Unanswered:
    # requests and urllib3 wrap the error of the socket several times; only the innermost says what happened.
    causes: list[BaseException] = [cause for cause in _chain(error) if isinstance(cause, OSError)] or [error]
    late = any(isinstance(cause, TimeoutError) for cause in causes)
    return Unanswered(" ".join(str(causes[-1]).split())[:200] or type(causes[-1]).__name__, late=late)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes, down to the system call."""
    while error is not None:
        yield error
        # Not __cause__, which is missing where requests raises its own error without `from`.
        error = error.__context__
