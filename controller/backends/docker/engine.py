"""The connection to the engine: every call in a thread, with a time limit, and errors that the rest understands.

The SDK is imported at the first connection. A connection that failed is given up, so that the next call meets an
engine that was replaced meanwhile, with its new API version. Knows nothing of runtimes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from controller import errors
from controller.backends.docker.capabilities import Capabilities
from controller.backends.docker.failures import Refusal
from controller.backends.docker.streams import Stream
from controller.backends.docker.workers import Workers
from controller.resources import reasons

if TYPE_CHECKING:
    from docker import APIClient
    from requests import HTTPError, Response

T = TypeVar("T")

_CALL_SECONDS = 60


class Engine:
    """One Docker engine at ``url``; at most ``calls`` calls and ``streams`` streams at once.

    Everything raises Refusal when the engine says no, and errors.Waiting(DAEMON_UNREACHABLE) when it does not answer.
    """

    def __init__(self, url: str, *, calls: int = 8, streams: int = 16) -> None:
        self._url = url
        self._calls = Workers(calls, "docker")
        self._streams = Workers(streams, "docker-stream")
        self._connecting = threading.Lock()
        self._client: APIClient | None = None

    async def call(self, function: Callable[[APIClient], T]) -> T:
        """The result of calls of the SDK, made in a thread."""
        return await self._calls.run(lambda: self._guarded(function))

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Post JSON to a path of the API, for what the SDK does not offer; the answer's JSON or None."""

        def send(client: APIClient) -> Any:
            answer = client.post(url(client, path), json=body, timeout=_CALL_SECONDS)
            answer.raise_for_status()
            return answer.json() if answer.content else None

        return await self.call(send)

    async def capabilities(self) -> Capabilities:
        """What this engine can do; connects when there is no connection."""
        return await self.call(lambda client: Capabilities.of(client.api_version))

    async def stream(self, opened: Callable[[APIClient], Response]) -> Stream:
        """A streaming answer, once the engine has begun it."""

        def checked(client: APIClient) -> Response:
            answer = opened(client)
            answer.raise_for_status()
            return answer

        response = await self._streams.run(lambda: self._guarded(checked))
        return Stream(response, lambda read: self._streams.run(lambda: self._guarded(lambda _: read())))

    def close(self) -> None:
        """Give up the connection; calls under way end by themselves."""
        self._calls.close()
        self._streams.close()
        self._give_up()

    def _guarded(self, function: Callable[[APIClient], T]) -> T:
        import docker.errors  # noqa: PLC0415 - 8 MB, only when there is something to do
        import requests.exceptions  # noqa: PLC0415

        try:
            return function(self._connected())
        except requests.exceptions.HTTPError as error:  # the SDK's APIError is one
            raise Refusal(error.response.status_code, _words(error)) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            self._unreachable(error)

    def _connected(self) -> APIClient:
        with self._connecting:
            if self._client is None:
                from docker import APIClient  # noqa: PLC0415

                self._client = APIClient(base_url=self._url, version="auto", timeout=_CALL_SECONDS)
            return self._client

    def _unreachable(self, error: Exception) -> NoReturn:
        self._give_up()
        message = f"Docker at {self._url} does not answer: start it or correct DOCKER_HOST ({_cause(error)})"
        raise errors.Waiting(reasons.DAEMON_UNREACHABLE, message) from error

    def _give_up(self) -> None:
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client.close()


def url(client: APIClient, path: str) -> str:
    """The address of a path of the API, in the version that was agreed on."""
    return f"{client.base_url}/v{client.api_version}{path}"


def _words(error: HTTPError) -> str:
    """The engine's own words: the ``message`` of its answer (API reference: ErrorResponse)."""
    try:
        return str(error.response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return str(getattr(error, "explanation", None) or error)


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:200] or type(error).__name__
