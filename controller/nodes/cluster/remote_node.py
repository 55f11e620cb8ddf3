"""A remote node of the cluster, queried over HTTPS. Implements node_api.node.Node. Each query is sent once.

The node is authenticated by the certificate in its EdgeNode, and we by a key that only this node accepts. What a node
answers is untrusted: it is bounded, and its errors are cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pydantic

from controller import errors
from controller.machinery import bounded
from controller.machinery.client import ApiClient
from controller.node_api import queries
from controller.node_api.queries import Query
from controller.nodes.cluster import certificate, leader_key
from controller.nodes.cluster.leader_key import LeaderKey

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0
TEXT_LIMIT = 1000  # characters of an error


class Address(NamedTuple):
    """Where a node listens, and the certificate (PEM) it must present."""

    name: str
    url: str
    certificate: str


class RemoteNode:
    """The node at ``address``. Every query raises errors.CommandError when there is no answer.

    ``token`` is the file with our token for nodes of 0.1.
    """

    def __init__(self, address: Address, api: ApiClient, token: Path) -> None:
        self._address = address
        self._key = LeaderKey(api, address.name, address.certificate)
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Every method of Node, from the table of queries; mypy checks the callers, which hold a Node."""
        if name not in queries.TABLE:
            raise AttributeError(f"{type(self).__name__} has no query {name}")
        return partial(self._ask, queries.TABLE[name])

    async def _ask(self, query: Query, /, *positional: Any, **named: Any) -> Any:
        parameters, node = query.bind(*positional, **named), self._address.name
        # A query with a limit of its own may take longer: the node's own error then says more than ours.
        limit = getattr(parameters, "seconds", ANSWER_SECONDS - CONNECT_SECONDS) + CONNECT_SECONDS
        try:
            async with asyncio.timeout(limit):
                content = await self._post(query.name, parameters.model_dump_json().encode())
            return query.result.validate_json(content)
        # First, because TimeoutError is an OSError.
        except TimeoutError:
            raise errors.CommandError(f"node {node} did not answer within {limit:.0f} s") from None
        except errors.ApiError as error:
            raise errors.CommandError(f"node {node} cannot be queried: {error}") from error
        # Before ValueError, which it is.
        except pydantic.ValidationError as error:
            raise errors.CommandError(f"node {node} runs another version: its answer cannot be read") from error
        # ValueError: an EdgeNode may have any text as URL and certificate.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise errors.CommandError(f"node {node} cannot be reached: {error or type(error).__name__}") from error

    async def _post(self, name: str, body: bytes) -> bytes:
        # The session first: it refuses a certificate that is none, and the key is for this certificate.
        session = await self._open()
        async with session.post(
            self._address.url + queries.PATH + name,
            data=body,
            headers={"Content-Type": "application/json", **await self._credentials()},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            server_hostname=certificate.HOST,
            # The key must not go to another host.
            allow_redirects=False,
        ) as response:
            content = await _content(response)
            if response.status == 401:
                self._key.publish_again()
            if response.status != 200:
                raise _error(self._address.name, response.status, content)
            return content

    async def _credentials(self) -> Mapping[str, str]:
        return {leader_key.HEADER: await self._key.published(), **await asyncio.to_thread(_for_older, self._token)}

    async def _open(self) -> aiohttp.ClientSession:
        """A session with one connection per query.

        A kept-alive connection may break in use, and then it is unknown whether the node received the query.
        """
        async with self._opening:
            # Under the lock: concurrent first queries would open several sessions, and only one would be closed.
            if self._session is None:
                context = await asyncio.to_thread(certificate.client_context, self._address.certificate)
                connector = aiohttp.TCPConnector(ssl=context, force_close=True)
                self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            return self._session


def _for_older(token: Path) -> Mapping[str, str]:
    """What nodes of 0.1 accept, during an upgrade: a token. Others ignore it, and it opens nothing else. Blocking."""
    # Read for every query, because the kubelet replaces a projected token before it expires.
    with contextlib.suppress(OSError, ValueError):
        return {"Authorization": f"Bearer {token.read_text('ascii').strip()}"}
    return {}


async def _content(response: aiohttp.ClientResponse) -> bytes:
    """The answer. Raises ValueError if it is larger than a node's can be."""
    content, cut = await bounded.read(response.content, queries.ANSWER_LIMIT)
    if cut:
        response.close()
        raise ValueError(f"it answers with more than {queries.ANSWER_LIMIT >> 20} MiB")
    return content


def _error(node: str, status: int, content: bytes) -> errors.EdgeError:
    """The error that the query raised on the node, or a description of why the node did not run it."""
    try:
        parsed = json.loads(content)
        message, reason = str(parsed["error"])[:TEXT_LIMIT], str(parsed["reason"])[:TEXT_LIMIT]
    # RecursionError: of brackets without end.
    except (ValueError, KeyError, TypeError, RecursionError):
        message, reason = "it is not a node of this controller", ""
    if status != queries.REFUSED:
        return errors.CommandError(f"node {node} refused the query ({status}): {message}")
    return errors.Waiting(reason, message) if reason else errors.CommandError(message)
