"""kopf's handlers: add the key of each changed Runtime to the work queue.

Only the deletion handler raises, because the finalizer must stay until the cleanup is done; the queue retries all other
passes. Each handler has an explicit id, under which kopf stores its progress.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import aiohttp
import kopf

from controller import names
from controller.api import kinds
from controller.machinery import connections
from controller.machinery.backoff import Backoff
from controller.machinery.credentials import Credentials
from controller.machinery.endpoint import Endpoint
from controller.runtimes.keys import Key, Version
from controller.runtimes.operator.submission import Submission
from controller.runtimes.result import Result

CHANGE_WAIT_SECONDS = 0.5  # if longer, a pull would keep kopf from handling the next change of the object
CLEANUP_SECONDS = 30.0
CLEANUP_AGAIN_SECONDS = (1.0, 15.0)  # the first pause and the longest
CONNECTIONS = 4  # one for the watch; without a limit, kopf opens one for each Runtime that it changes
CLEANUP_CALL_SECONDS = 600.0  # kopf keeps every change of the object in memory meanwhile


def make_registry(endpoint: Endpoint, submit: Submission) -> kopf.OperatorRegistry:
    """A new registry with the login and the handlers of Runtimes."""
    registry = kopf.OperatorRegistry()
    credentials, last = Credentials(endpoint), None

    async def changed(*, namespace: str | None, name: str, meta: kopf.Meta, **_: Any) -> None:
        """Submit the key; wait briefly, so that kopf marks a quick change as handled only after it took effect."""
        await _within(CHANGE_WAIT_SECONDS, submit(Key(namespace or "", name), Version.of(meta)))

    async def deleted(*, namespace: str | None, name: str, uid: str, patch: kopf.Patch, **_: Any) -> None:
        """Hold the finalizer until the cleanup is done."""
        key = Key(namespace or "", name)
        try:
            async with asyncio.timeout(CLEANUP_CALL_SECONDS):
                await _clean_up(key, submit)
        except TimeoutError:
            message = f"{key} is still being deleted: its condition Ready says what it waits for"
            # Never a permanent error: kopf would remove the finalizer, and the container would be left behind.
            raise kopf.TemporaryError(message, delay=2 * CLEANUP_AGAIN_SECONDS[0]) from None
        # kopf removes the finalizer from the version that it knows, and would be refused once for each status of the
        # cleanup. This patch changes nothing, but its answer is the newest version; it fails for a recreated Runtime.
        patch.metadata["uid"] = uid

    async def login(**_: Any) -> kopf.ConnectionInfo | kopf.AiohttpSession:
        """Called at the start and after each 401; kopf refuses a connection that it knows to be rejected."""
        nonlocal last
        last = await credentials.current(last)
        return await local_session(last) if last.socket else connection(last)

    kopf.on.login(id="login", registry=registry)(login)
    runtimes = (names.GROUP, names.VERSION, kinds.RUNTIMES.plural)
    # Also at the start of this process: what was handled is remembered in memory only.
    kopf.on.create(*runtimes, id="runtime-created", registry=registry)(changed)
    # Without ``field`` every change of a label or an annotation would be handled.
    kopf.on.update(*runtimes, id="runtime-changed", field="spec", registry=registry)(changed)
    kopf.on.delete(*runtimes, id="runtime-deleted", registry=registry)(deleted)
    return registry


@dataclass(frozen=True, kw_only=True)
class Connection(kopf.ConnectionInfo):
    """kopf's connection info with the TLS settings of our endpoint, some of which kopf does not know."""

    endpoint: Endpoint

    def as_ssl_context(self) -> ssl.SSLContext:
        """kopf's hook; it reads the certificate files."""
        return self.endpoint.ssl_context()


def connection(endpoint: Endpoint) -> Connection:
    """The endpoint as kopf's connection info."""
    # kopf keeps the token until a 401; the login after that reads the file again, which the kubelet replaces.
    token = endpoint.token_file.read_text().strip() if endpoint.token_file else endpoint.token
    return Connection(
        server=endpoint.url,
        scheme=endpoint.scheme if token else None,
        token=token,
        proxy_url=endpoint.proxy,
        endpoint=endpoint,
    )


async def local_session(endpoint: Endpoint) -> kopf.AiohttpSession:
    """A session through the endpoint's UNIX socket, which kopf closes."""
    session = aiohttp.ClientSession(connector=await connections.connector(endpoint, limit=CONNECTIONS))
    return kopf.AiohttpSession(server=endpoint.base_url, aiohttp_session=session)


async def _clean_up(key: Key, submit: Submission) -> None:
    """Submit the key until its cleanup is done. Retry here, as kopf logs an error and writes for each failed call."""
    for pause in Backoff(*CLEANUP_AGAIN_SECONDS):
        result = await _within(CLEANUP_SECONDS, submit(key))
        if result is not None and result.settled:
            return
        await asyncio.sleep(pause)


async def _within(seconds: float, work: Awaitable[Result | None]) -> Result | None:
    """The result; None after ``seconds``, while the pass continues."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        return None
