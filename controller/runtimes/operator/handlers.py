"""kopf's handlers: add the key of each changed Runtime to the work queue.

Only the deletion handler raises, because the finalizer must stay until the cleanup is done; the queue retries all other
passes. Each handler has an explicit id, under which kopf stores its progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from controller import names
from controller.api import kinds
from controller.machinery.backoff import Backoff
from controller.machinery.client import Endpoint
from controller.runtimes.keys import Key
from controller.runtimes.result import Result

CHANGE_WAIT_SECONDS = 0.5  # if longer, a pull would keep kopf from handling the next change of the object
CLEANUP_SECONDS = 30.0
CLEANUP_AGAIN_SECONDS = (1.0, 15.0)  # the first pause and the longest
CLEANUP_CALL_SECONDS = 600.0  # kopf keeps every change of the object in memory meanwhile

Submit = Callable[[Key], Awaitable[Result]]
"""Adds a key to the work queue, from kopf's loop, and returns the result of the pass."""


def make_registry(endpoint: Endpoint, submit: Submit) -> kopf.OperatorRegistry:
    """A new registry with the login and the handlers of Runtimes."""
    registry = kopf.OperatorRegistry()

    async def changed(*, namespace: str | None, name: str, **_: Any) -> None:
        """Submit the key; wait briefly, so that kopf marks a quick change as handled only after it took effect."""
        await _within(CHANGE_WAIT_SECONDS, submit(Key(namespace or "", name)))

    async def deleted(*, namespace: str | None, name: str, **_: Any) -> None:
        """Hold the finalizer until the cleanup is done."""
        key = Key(namespace or "", name)
        try:
            await asyncio.wait_for(_clean_up(key, submit), CLEANUP_CALL_SECONDS)
        except TimeoutError:
            message = f"{key} is still being deleted: its condition Ready says what it waits for"
            raise kopf.TemporaryError(message, delay=2 * CLEANUP_AGAIN_SECONDS[0]) from None

    def login(**_: Any) -> kopf.ConnectionInfo:
        return connection(endpoint)

    kopf.on.login(id="login", registry=registry)(login)
    runtimes = (names.GROUP, names.VERSION, kinds.RUNTIMES.plural)
    kopf.on.create(*runtimes, id="runtime-created", registry=registry)(changed)
    kopf.on.resume(*runtimes, id="runtime-resumed", registry=registry)(changed)
    kopf.on.update(*runtimes, id="runtime-changed", field="spec", registry=registry)(changed)
    kopf.on.delete(*runtimes, id="runtime-deleted", registry=registry)(deleted)
    return registry


def connection(endpoint: Endpoint) -> kopf.ConnectionInfo:
    """The endpoint as kopf's connection info; kopf reads the certificate files itself."""
    token = endpoint.token_file.read_text().strip() if endpoint.token_file else endpoint.token
    return kopf.ConnectionInfo(
        server=endpoint.url,
        ca_path=None if endpoint.ca_data else endpoint.ca_file,
        ca_data=endpoint.ca_data,
        certificate_path=None if endpoint.client_data else endpoint.client_cert,
        certificate_data=endpoint.client_data,  # holds certificate and key
        private_key_path=None if endpoint.client_data else endpoint.client_key,
        private_key_data=endpoint.client_data,
        token=token,
    )


async def _clean_up(key: Key, submit: Submit) -> None:
    """Submit the key until its cleanup is done. Retry here, as kopf logs an error and writes for each failed call."""
    for pause in Backoff(*CLEANUP_AGAIN_SECONDS):
        result = await _within(CLEANUP_SECONDS, submit(key))
        if result is not None and result.settled:
            return
        await asyncio.sleep(pause)


async def _within(seconds: float, work: Awaitable[Result]) -> Result | None:
    """The result; None after ``seconds``, while the pass continues."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return None
