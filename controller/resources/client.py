"""The one client of the Kubernetes API, for the embedded server and for a cluster alike: a URL and credentials.

Seven verbs on aiohttp; objects are plain dictionaries as the API sends them. It knows no kind's meaning, keeps no
cache and retries nothing: who calls decides. One client serves one event loop.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from controller import errors
from controller.resources.kinds import Kind

REQUEST_SECONDS = 30
CONNECT_SECONDS = 5
WATCH_SECONDS = 290  # the server ends the stream in good order; a reader that stays silent longer is dead
WATCH_IDLE_SECONDS = 330
LINE_LIMIT = 8 << 20  # bytes of one watch event; an object is at most 3 MB on the wire

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"

Patch = dict[str, Any] | list[dict[str, Any]]


@dataclass(frozen=True)
class Endpoint:
    """Where the API is and who we are there. ``token_file`` is read anew for every request: clusters rotate it."""

    url: str
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    token: str | None = None
    token_file: Path | None = None

    def ssl_context(self) -> ssl.SSLContext:
        """A context from the files as they are now."""
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        if self.client_cert:
            context.load_cert_chain(str(self.client_cert), str(self.client_key) if self.client_key else None)
        return context

    def authorization(self) -> dict[str, str]:
        """The request header that carries the bearer token, if there is one."""
        token = self.token_file.read_text().strip() if self.token_file else self.token
        return {"Authorization": f"Bearer {token}"} if token else {}


class WatchEvent(NamedTuple):
    """One event of a watch: ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: dict[str, Any]


class ApiClient:
    """The verbs of the API. Raises the ApiError classes of controller.errors; no other error leaves it."""

    def __init__(self, endpoint: Endpoint, user_agent: str = "edge-controller") -> None:
        self._endpoint = endpoint
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def get(self, kind: Kind, name: str, namespace: str = "") -> dict[str, Any]:
        """One object."""
        return await self._request("GET", kind.path(namespace, name))

    async def list(
        self, kind: Kind, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> list[dict[str, Any]]:
        """All objects of a kind, in one namespace or in all."""
        params = {"labelSelector": label_selector, "fieldSelector": field_selector}
        answer = await self._request("GET", kind.path(namespace), params={k: v for k, v in params.items() if v})
        items: list[dict[str, Any]] = answer.get("items") or []
        return items

    async def create(self, kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
        """Create; the namespace is the one in ``metadata``."""
        namespace = body["metadata"].get("namespace", "")
        whole = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        return await self._request("POST", kind.path(namespace), json_body=whole)

    async def replace(self, kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
        """Put the whole object; its resourceVersion guards it."""
        metadata = body["metadata"]
        path = kind.path(metadata.get("namespace", ""), metadata["name"])
        return await self._request("PUT", path, json_body=body)

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str,
        patch: Patch,
        *,
        subresource: str = "",
    ) -> dict[str, Any]:
        """Merge patch (RFC 7396) for a dictionary, JSON patch (RFC 6902) for a list."""
        content_type = JSON_PATCH if isinstance(patch, list) else MERGE_PATCH
        path = kind.path(namespace, name, subresource)
        return await self._request("PATCH", path, json_body=patch, content_type=content_type)

    async def delete(self, kind: Kind, name: str, namespace: str = "", *, uid: str = "") -> dict[str, Any]:
        """Delete; with ``uid`` only that very object."""
        options = {"preconditions": {"uid": uid}} if uid else {}
        return await self._request("DELETE", kind.path(namespace, name), json_body=options)

    async def watch(
        self, kind: Kind, namespace: str = "", *, resource_version: str = "", field_selector: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """One stream of changes until the server ends it.

        Raises errors.ExpiredError when ``resource_version`` is compacted: list again.
        """
        params = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        params |= {"resourceVersion": resource_version} if resource_version else {}
        params |= {"fieldSelector": field_selector} if field_selector else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=WATCH_IDLE_SECONDS)
        try:
            async with self._open().get(
                self._endpoint.url + kind.path(namespace),
                params=params,
                headers=self._endpoint.authorization(),
                timeout=timeout,
            ) as response:
                await _raise_for_status(response)
                async for line in response.content:
                    event = WatchEvent(**json.loads(line))
                    if event.type == "ERROR":
                        raise _error_of(event.object)
                    yield event
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise errors.ApiUnavailableError(f"the watch of {kind.plural} broke off: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._endpoint.ssl_context(), limit=32)
            self._session = aiohttp.ClientSession(
                connector=connector, headers={"User-Agent": self._user_agent}, read_bufsize=LINE_LIMIT
            )
        return self._session

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
        headers = {
            "Content-Type": content_type,
            "Accept": "application/json",
            **self._endpoint.authorization(),
        }
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            async with self._open().request(
                method, self._endpoint.url + path, params=params, data=data, headers=headers, timeout=timeout
            ) as response:
                await _raise_for_status(response)
                answer: dict[str, Any] = json.loads(await response.read())
                return answer
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            reason = str(error) or type(error).__name__
            message = f"the Kubernetes API at {self._endpoint.url} did not answer: {reason}"
            raise errors.ApiUnavailableError(message) from error


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = await response.text()
    try:
        status = json.loads(text)
    except ValueError:
        status = {"message": text[:500] or response.reason}
    raise _error_of({"code": response.status, **(status if isinstance(status, dict) else {})})


def _error_of(status: dict[str, Any]) -> errors.ApiError:
    code, reason = int(status.get("code") or 500), str(status.get("reason") or "")
    message = str(status.get("message") or f"the Kubernetes API answered {code}")
    return _class_of(code, reason)(message, code=code, reason=reason)


def _class_of(code: int, reason: str) -> type[errors.ApiError]:
    if code == 409:
        return errors.AlreadyExistsError if reason == "AlreadyExists" else errors.ConflictError
    if code == 429 or code >= 500:
        return errors.ApiUnavailableError
    return {
        400: errors.InvalidError,
        404: errors.NotFoundError,
        410: errors.ExpiredError,
        422: errors.InvalidError,
    }.get(code, errors.ApiError)
