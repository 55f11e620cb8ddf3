"""A remote node of the cluster, queried over HTTPS. Implements cloud.node.Node. Each query is sent once.

The node is authenticated by the certificate in its EdgeNode, and we by a token that only nodes accept.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pydantic

from controller import errors
from controller.cloud.contracts.periods import Period
from controller.cloud.node import HostFacts, HttpRequest, HttpResponse, Reading, Usage
from controller.devices.serial import SerialDevice
from controller.network.interfaces import HostInterface
from controller.nodes.cluster import certificate, node_api
from controller.nodes.cluster.node_server import REFUSED

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0


class Address(NamedTuple):
    """Where a node listens, and the certificate (PEM) it must present."""

    name: str
    url: str
    certificate: str


class RemoteNode:
    """The node at ``address``. Every query raises errors.CommandError when there is no answer."""

    def __init__(self, address: Address, token: Path) -> None:
        self._address = address
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def reading(self) -> Reading:
        """What the host uses now."""
        found: Reading = await self._ask("reading")
        return found

    async def host_facts(self) -> HostFacts:
        """What the host is."""
        found: HostFacts = await self._ask("host_facts")
        return found

    async def host_usage(self, cpu: Period, memory: Period) -> Usage:
        """What the host used."""
        found: Usage = await self._ask("host_usage", cpu=cpu, memory=memory)
        return found

    async def device_usage(self, namespace: str, device_id: str, cpu: Period, memory: Period) -> Usage:
        """What a runtime used."""
        found: Usage = await self._ask("device_usage", namespace=namespace, device_id=device_id, cpu=cpu, memory=memory)
        return found

    async def interfaces(self, *, include_virtual: bool) -> Sequence[HostInterface]:
        """The host's interfaces."""
        found: list[HostInterface] = await self._ask("interfaces", include_virtual=include_virtual)
        return found

    async def serial_devices(self) -> Sequence[SerialDevice]:
        """The host's serial devices."""
        found: list[SerialDevice] = await self._ask("serial_devices")
        return found

    async def request(self, request: HttpRequest, seconds: float) -> HttpResponse:
        """Have the node send one request to a runtime."""
        limit = seconds + CONNECT_SECONDS  # longer than the node's own limit, whose error says more
        found: HttpResponse = await self._ask("request", limit, request=request, seconds=seconds)
        return found

    async def foreign_container(self, name: str) -> str:
        """A description of the foreign container of this name, or "". Also raises errors.ReconcileError."""
        found: str = await self._ask("foreign_container", name=name)
        return found

    async def _ask(self, name: str, limit: float = ANSWER_SECONDS, /, **parameters: Any) -> Any:
        query, node = node_api.TABLE[name], self._address.name
        body = query.parameters(**parameters).model_dump_json().encode()
        try:
            return query.result.validate_json(await self._post(name, body, limit))
        except TimeoutError:
            raise errors.CommandError(f"node {node} did not answer within {limit:.0f} s") from None
        except (aiohttp.ClientError, ssl.SSLError, OSError) as error:
            raise errors.CommandError(f"node {node} cannot be reached: {error or type(error).__name__}") from error
        except pydantic.ValidationError as error:
            raise errors.CommandError(f"node {node} runs another version: its answer cannot be read") from error

    async def _post(self, name: str, body: bytes, limit: float) -> bytes:
        token = await asyncio.to_thread(self._token.read_text)
        session = await self._open()
        async with session.post(
            self._address.url + node_api.PATH + name,
            data=body,
            headers={"Authorization": f"Bearer {token.strip()}", "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=limit, sock_connect=CONNECT_SECONDS),
            server_hostname=certificate.HOST,
            allow_redirects=False,
        ) as response:
            content = await response.read()
            if response.status != 200:
                raise _error(self._address.name, response.status, content)
            return content

    async def _open(self) -> aiohttp.ClientSession:
        """A session with one connection per query.

        A kept-alive connection may break in use, and then it is unknown whether the node received the query.
        """
        async with self._opening:
            if self._session is None:
                context = await asyncio.to_thread(certificate.client_context, self._address.certificate)
                connector = aiohttp.TCPConnector(ssl=context, force_close=True)
                self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            return self._session


def _error(node: str, status: int, content: bytes) -> errors.EdgeError:
    """The error that the query raised on the node, or a description of why the node did not run it."""
    try:
        parsed = json.loads(content)
        message, reason = str(parsed["error"]), str(parsed["reason"])
    except (ValueError, KeyError, TypeError):
        message, reason = "it is not a node of this controller", ""
    if status != REFUSED:
        return errors.CommandError(f"node {node} refused the query ({status}): {message}")
    return errors.Waiting(reason, message) if reason else errors.CommandError(message)
