"""A node elsewhere in the cluster, asked over HTTPS: satisfies cloud.node.Node. A question is sent once.

It is known by the certificate in its EdgeNode; we show a token that is good for nodes only.
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
    """Where a node answers, and the certificate (PEM) that it must show."""

    name: str
    url: str
    certificate: str


class RemoteNode:
    """The node at ``address``. Every question raises errors.CommandError when it gets no answer."""

    def __init__(self, address: Address, token: Path) -> None:
        self._address = address
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close what is open."""
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
        patience = seconds + CONNECT_SECONDS  # the node's own limit comes first, and says more
        found: HttpResponse = await self._ask("request", patience, request=request, seconds=seconds)
        return found

    async def foreign_container(self, name: str) -> str:
        """What container of this name is not ours. Raises errors.ReconcileError too."""
        found: str = await self._ask("foreign_container", name=name)
        return found

    async def _ask(self, name: str, patience: float = ANSWER_SECONDS, /, **parameters: Any) -> Any:
        question, node = node_api.TABLE[name], self._address.name
        body = question.parameters(**parameters).model_dump_json().encode()
        try:
            return question.result.validate_json(await self._post(name, body, patience))
        except TimeoutError:
            raise errors.CommandError(f"node {node} did not answer within {patience:.0f} s") from None
        except (aiohttp.ClientError, ssl.SSLError, OSError) as error:
            raise errors.CommandError(f"node {node} cannot be asked: {error or type(error).__name__}") from error
        except pydantic.ValidationError as error:
            raise errors.CommandError(f"node {node} runs another version: its answer cannot be read") from error

    async def _post(self, name: str, body: bytes, patience: float) -> bytes:
        token = await asyncio.to_thread(self._token.read_text)
        session = await self._open()
        async with session.post(
            self._address.url + node_api.PATH + name,
            data=body,
            headers={"Authorization": f"Bearer {token.strip()}", "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=patience, sock_connect=CONNECT_SECONDS),
            server_hostname=certificate.HOST,
            allow_redirects=False,
        ) as response:
            content = await response.read()
            if response.status != 200:
                raise _error(self._address.name, response.status, content)
            return content

    async def _open(self) -> aiohttp.ClientSession:
        """One connection a question: a kept one may break as it is used, and nobody knows what was done."""
        async with self._opening:
            if self._session is None:
                context = await asyncio.to_thread(certificate.trusting, self._address.certificate)
                connector = aiohttp.TCPConnector(ssl=context, force_close=True)
                self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            return self._session


def _error(node: str, status: int, content: bytes) -> errors.EdgeError:
    """The node's own error where it is one, else what kept it from answering."""
    try:
        parsed = json.loads(content)
        message, reason = str(parsed["error"]), str(parsed["reason"])
    except (ValueError, KeyError, TypeError):
        message, reason = "it is not a node of this controller", ""
    if status != REFUSED:
        return errors.CommandError(f"node {node} refused the question ({status}): {message}")
    return errors.Waiting(reason, message) if reason else errors.CommandError(message)
