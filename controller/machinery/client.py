"""The client of the Kubernetes API, for both the embedded server and a cluster.

Seven verbs on aiohttp; objects are plain dictionaries as the API sends them. It is independent of kinds, keeps no cache
and does not retry; that is up to the caller. One client serves one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import aiohttp

from controller import errors, names
from controller.machinery import direct, failures, writes
from controller.machinery.documents import Listing, WatchEvent, event_of, object_of
from controller.machinery.endpoint import Endpoint
from controller.machinery.kinds import Kind
from controller.machinery.sessions import Request, Sessions
from controller.machinery.writes import Selection, Write

REQUEST_SECONDS = 30
CONNECT_SECONDS = 5
REQUESTS_AT_ONCE = 8  # more wait for a connection: each costs memory on both sides
WATCH_SECONDS = 290  # after which the server ends the stream properly
WATCH_IDLE_SECONDS = 330  # a stream that is silent for longer is dead
PAGE = 200  # objects in one response of a list
LINE_LIMIT = 8 << 20  # bytes of one watch event; an object is at most 3 MB on the wire

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
# The name in managedFields: independent of role and process, so that the owner of a field never changes accidentally.
_FIELD_MANAGER = {"fieldManager": names.FIELD_MANAGER}

__all__ = ["ApiClient", "Endpoint", "Listing", "Patch", "WatchEvent"]

T = TypeVar("T")
Patch = dict[str, Any] | list[dict[str, Any]]


class ApiClient:
    """The verbs of the API. Raises only the ApiError classes of controller.errors."""

    def __init__(self, endpoint: Endpoint, user_agent: str = "edge-controller") -> None:
        self._endpoint = endpoint
        self._user_agent = user_agent
        self._sessions = Sessions(endpoint, user_agent, REQUESTS_AT_ONCE, LINE_LIMIT)

    async def get(self, kind: Kind, name: str, namespace: str = "") -> dict[str, Any]:
        """Return one object."""
        return await self._request("GET", kind.path(namespace, name))

    async def list(
        self, kind: Kind, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> list[dict[str, Any]]:
        """Return all objects of a kind in one or all namespaces."""
        listing = await self.snapshot(kind, namespace, label_selector=label_selector, field_selector=field_selector)
        return listing.objects

    async def snapshot(
        self, kind: Kind, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Listing:
        """Return all objects of a kind, read in pages to bound the size of responses, for a watch that continues it."""
        path, params = kind.path(namespace), _non_empty(labelSelector=label_selector, fieldSelector=field_selector)
        objects, version = await self._read_list(path, params, lambda item: item)
        return Listing([*objects], version)

    async def extracts(
        self, kind: Kind, extract: Callable[[dict[str, Any]], T], *, field_selector: str = ""
    ) -> Sequence[T]:
        """Return what ``extract`` makes of each object of a kind. At most one page of objects is in memory."""
        return (await self._read_list(kind.path(), _non_empty(fieldSelector=field_selector), extract))[0]

    async def _read_list(
        self, path: str, params: dict[str, str], extract: Callable[[dict[str, Any]], T]
    ) -> tuple[Sequence[T], str]:
        try:
            return await self._read_pages(path, {**params, "limit": str(PAGE)}, extract)
        # As in client-go: after an expired token the list is read whole, because further pages could expire as well.
        except errors.ExpiredError:
            return await self._read_pages(path, params, extract)

    async def _read_pages(
        self, path: str, params: dict[str, str], extract: Callable[[dict[str, Any]], T]
    ) -> tuple[Sequence[T], str]:
        """Return the extracts of all objects (API concepts: retrieving large result sets in chunks), and a version.

        All pages show the state of the first one, so a watch from its version misses nothing.
        """
        found: list[T] = []
        version = ""
        while True:
            page = await self._request("GET", path, params=params)
            found += map(extract, page.get("items") or ())
            metadata = page.get("metadata", {})
            version = version or str(metadata.get("resourceVersion", ""))
            if not metadata.get("continue"):
                return found, version
            params = {**params, "continue": metadata["continue"]}
            del page  # before the next one arrives

    async def revision(self, kind: Kind) -> str:
        """The revision of the embedded API's store, which every write of any kind changes; "" with a cluster."""
        # In a cluster something is always written.
        if not self.has_transactions:
            return ""
        page = await self._request("GET", kind.path(), params={"limit": "1"})
        return str(page["metadata"]["resourceVersion"])

    async def create(self, kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
        """Create an object in the namespace of its ``metadata``."""
        write = writes.creation(kind, body)
        return await self._request(write.method, write.path, params=_FIELD_MANAGER, json_body=write.body)

    @property
    def has_transactions(self) -> bool:
        """Whether ``transaction`` works: with the embedded API, but not with a cluster."""
        return self._endpoint.socket is not None or self._endpoint.direct is not None

    async def transaction(self, *steps: Write, unless: Selection | None = None) -> Sequence[dict[str, Any]]:
        """Run several writes, all or none of which take effect. Returns the written objects.

        Raises errors.AlreadyExistsError, also if there is an object that ``unless`` selects.
        """
        body = {"writes": [step._asdict() for step in steps], "unless": unless and unless._asdict()}
        response = await self._request("POST", "/transaction", params=_FIELD_MANAGER, json_body=body)
        objects: Sequence[dict[str, Any]] = response["objects"]
        return objects

    async def replace(self, kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
        """Replace the whole object, guarded by its resourceVersion."""
        metadata = body["metadata"]
        path = kind.path(metadata.get("namespace", ""), metadata["name"])
        return await self._request("PUT", path, params=_FIELD_MANAGER, json_body=body)

    async def patch(
        self, kind: Kind, name: str, namespace: str, patch: Patch, *, subresource: str = ""
    ) -> dict[str, Any]:
        """Apply a dictionary as merge patch (RFC 7396) or a list as JSON patch (RFC 6902)."""
        content_type = JSON_PATCH if isinstance(patch, list) else MERGE_PATCH
        path = kind.path(namespace, name, subresource)
        return await self._request("PATCH", path, params=_FIELD_MANAGER, json_body=patch, content_type=content_type)

    async def delete(self, kind: Kind, name: str, namespace: str = "", *, uid: str = "") -> None:
        """Delete an object if it exists. Raises errors.ConflictError if it has another uid than ``uid``."""
        options = {"preconditions": {"uid": uid}} if uid else {}
        with contextlib.suppress(errors.NotFoundError):
            await self._request("DELETE", kind.path(namespace, name), json_body=options)

    async def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[WatchEvent]:
        """Yield changes until the server ends the stream.

        Raises errors.ExpiredError when ``resource_version`` is compacted: list again.
        """
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
            **_non_empty(resourceVersion=resource_version, labelSelector=label_selector, fieldSelector=field_selector),
        }
        try:
            path, ours = kind.path(namespace), self._endpoint.direct
            async with contextlib.aclosing(ours.watch(path, params) if ours else self._lines(path, params)) as lines:
                async for line in lines:
                    yield event_of(line)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise await self._failure(f"the watch of {kind.plural} was interrupted", error) from error

    async def _lines(self, path: str, params: dict[str, str]) -> AsyncGenerator[bytes]:
        """The lines of a watch over a connection."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=WATCH_IDLE_SECONDS)
        async with await self._sessions.send(Request("GET", path, timeout, params, watching=True)) as response:
            await failures.raise_for_status(response)
            async for line in response.content:
                yield line

    async def text(
        self, kind: Kind, name: str, namespace: str, subresource: str, params: dict[str, str]
    ) -> AsyncIterator[bytes]:
        """Stream a subresource that is not an object, such as a log; one that is followed may be silent for hours.

        Raises before the first part, unless the stream is interrupted.
        """
        idle = None if params.get("follow") == "true" else REQUEST_SECONDS
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=idle)
        what = f"cannot read the {subresource} of {name}"
        try:
            path = kind.path(namespace, name, subresource)
            async with asyncio.timeout(REQUEST_SECONDS):
                response = await self._sessions.send(Request("GET", path, timeout, params, watching=True))
                await failures.raise_for_status(response)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise await self._failure(what, error) from error
        return self._parts(response, what)

    async def _parts(self, response: aiohttp.ClientResponse, what: str) -> AsyncIterator[bytes]:
        try:
            async with response:
                async for part in response.content.iter_any():
                    yield part
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise await self._failure(what, error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._sessions.close()

    async def _failure(self, what: str, error: Exception) -> errors.ApiUnavailableError:
        """Return the error to raise; after a TLS error the next session reads the certificates again."""
        if isinstance(error, aiohttp.ClientSSLError):
            await self._sessions.reset()
        return errors.ApiUnavailableError(f"{what}: {str(error) or type(error).__name__}")

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        json_body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        data = None if json_body is None else json.dumps(json_body).encode()
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        try:
            if ours := self._endpoint.direct:
                headers["User-Agent"] = self._user_agent
                async with asyncio.timeout(REQUEST_SECONDS):
                    return await direct.ask(ours, method, path, params or {}, headers, data or b"")
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
            async with await self._sessions.send(Request(method, path, timeout, params, headers, data)) as response:
                await failures.raise_for_status(response)
                return object_of(await response.read())
        # Also OSError: certificate or token files may be missing for a moment while they are renewed.
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            what = f"the Kubernetes API at {self._sessions.endpoint.url} did not answer"
            raise await self._failure(what, error) from error


def _non_empty(**params: str) -> dict[str, str]:
    """Return the non-empty query parameters."""
    return {name: value for name, value in params.items() if value}
