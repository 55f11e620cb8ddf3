"""The connection to the engine: runs every call in a thread with a timeout, and translates errors.

Queries, changes, stops, pulls, logs and events each have their own threads, so that slow stops or a silent registry
delay nothing else. Imports the SDK at the first connection. Knows nothing of runtimes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

from controller.backends.docker.engine.breaker import Breaker
from controller.backends.docker.engine.capabilities import Capabilities, EngineInfo
from controller.backends.docker.engine.failures import Refusal
from controller.backends.docker.engine.lane import LIMITS, EngineLimits, Lane
from controller.backends.docker.engine.streams import Stream

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

T = TypeVar("T")

_PING_VERSION = "1.24"  # the lowest that the SDK accepts; the path of a ping contains no version


class Engine:
    """One Docker engine at ``url``.

    Every method raises Refusal when the engine refuses the call, and errors.Waiting with DAEMON_UNREACHABLE when the
    engine does not answer, or with DAEMON_SLOW when it answers a ping but not the call, whose result is then unknown.
    """

    def __init__(self, url: str, limits: EngineLimits = LIMITS) -> None:
        timeout, ping = limits.query_seconds, limits.ping_seconds
        self._queries = Lane(url, "docker", limits.queries, timeout, 3 * timeout)
        self._changes = Lane(url, "docker-change", limits.changes, limits.change_seconds)
        self._stops = Lane(url, "docker-stop", limits.stops, limits.change_seconds)
        # A pull that was abandoned before it began keeps its thread until the registry times out.
        self._pulls = Lane(url, "docker-pull", 4 * limits.pulls, limits.pull_seconds)
        self._logs = Lane(url, "docker-log", limits.logs, timeout)
        self._events = Lane(url, "docker-events", 4, timeout, timeout)
        # Two: a ping with a trickling response keeps its thread longer than the breaker waits for it.
        self._pings = Lane(url, "docker-ping", 2, ping)
        self._is_systems = False  # known to be the system's engine, not a user's
        self._breaker = Breaker(url, lambda: self._pings.call(_PING_VERSION, _api_version), limits)
        self._lanes = (self._queries, self._changes, self._stops, self._pulls, self._logs, self._events, self._pings)

    def call(self, function: Callable[[APIClient], T]) -> Awaitable[T]:
        """Run a query in a thread."""
        return self._run(self._queries, function)

    async def find(self, function: Callable[[APIClient], T], absent: Collection[int] = (404,)) -> T | None:
        """Run a query; None when the engine refuses it with a status that means that there is no such object."""
        try:
            return await self.call(function)
        except Refusal as refusal:
            if refusal.status not in absent:
                raise
            return None

    def change(self, function: Callable[[APIClient], T]) -> Awaitable[T]:
        """Run a single request that changes something.

        The function must send only one: the thread of an abandoned call continues, and would send a second request at
        a time when nobody expects it.
        """
        return self._run(self._changes, function)

    async def stop(self, container: str, grace: int) -> None:
        """Stop a container; the engine kills it after ``grace`` seconds."""
        await self._run(self._stops, lambda client: client.stop(container, timeout=grace))

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Post JSON to an API path that the SDK does not cover; return the response's JSON or None."""

        # The SDK sets its timeout in methods of its own only; a plain post would wait without one.
        def send(client: APIClient) -> Any:
            answer = client.post(url(client, path), json=body, timeout=client.timeout)
            answer.raise_for_status()
            return answer.json() if answer.content else None

        return await self.change(send)

    async def capabilities(self) -> Capabilities:
        """The capabilities of this engine."""
        # Not kept: somebody may upgrade the engine while we run, and each ping reads its version.
        return Capabilities.of(await self._breaker.version())

    async def info(self) -> EngineInfo:
        """Describe this engine and its host."""
        version = await self._breaker.version()
        return EngineInfo.of(version, await self.call(lambda client: client.info()))

    async def is_rootless(self) -> bool:
        """Whether a user runs the engine, in a network namespace that has none of the host's interfaces."""
        # A description takes the engine long, so the answer that nothing blocks is kept.
        if not self._is_systems:
            self._is_systems = not (await self.info()).is_rootless
        return not self._is_systems

    async def check(self) -> None:
        """Ping the engine."""
        await self._breaker.check()

    async def pause(self, seconds: float) -> None:
        """Wait this long, or until an engine that did not answer is back."""
        await self._breaker.pause(seconds)

    async def pull(self, open_stream: Callable[[APIClient], Response]) -> Stream:
        """The progress of a pull, once the engine has begun it; survives an engine that hangs for a while."""
        return await self._stream(self._pulls, open_stream)

    async def logs(self, open_stream: Callable[[APIClient], Response]) -> Stream:
        """Stream the output of a container."""
        return await self._stream(self._logs, open_stream)

    async def events(self, open_stream: Callable[[APIClient], Response]) -> Stream:
        """Stream the events; fails when the engine stops answering, so that the caller subscribes again."""
        response = await self._run(self._events, _checked(open_stream))
        return Stream(response, lambda read: self._breaker.during(self._events.read(read)))

    def close(self) -> None:
        """Close the connections without waiting for running calls."""
        self._breaker.close()
        for lane in self._lanes:
            lane.close()

    async def _run(self, lane: Lane, function: Callable[[APIClient], T]) -> T:
        # First, because it fails while the breaker is open: a call that is queued then would be sent later.
        version = await self._breaker.version()
        return await self._breaker.during(lane.call(version, function), lane.deadline)

    async def _stream(self, lane: Lane, open_stream: Callable[[APIClient], Response]) -> Stream:
        response = await self._run(lane, _checked(open_stream))
        # Not `during`: the engine continues a pull after a hang, so an open breaker does not end its stream.
        return Stream(response, lambda read: self._breaker.answer(lane.read(read)))


def url(client: APIClient, path: str) -> str:
    """The URL of an API path in the negotiated version."""
    return f"{client.base_url}/v{client.api_version}{path}"


def _checked(open_stream: Callable[[APIClient], Response]) -> Callable[[APIClient], Response]:
    def checked(client: APIClient) -> Response:
        answer = open_stream(client)
        answer.raise_for_status()
        return answer

    return checked


def _api_version(client: APIClient) -> str:
    # Not /version, for which dockerd queries containerd: a hung containerd would look like a hung engine.
    answer = client.get(f"{client.base_url}/_ping", timeout=client.timeout)
    answer.raise_for_status()
    version = answer.headers.get("Api-Version")
    if version is None:
        raise OSError("the server is not a Docker engine")
    return str(version)
