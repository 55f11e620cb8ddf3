"""Following an engine that hangs: the loss is reported once, and the backend resubscribes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from controller.api import reasons
from controller.backends.base import Contact
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.parts import HostServices
from tests.backends.conftest import INTERNAL_POOL, reason_of
from tests.support.stub_engine import LIMITS, ResponseMode, StubEngine


@pytest.fixture
async def backend(stub: StubEngine, host: HostServices) -> AsyncIterator[DockerBackend]:
    """The backend on the stub."""
    made = DockerBackend(stub.url, "x", INTERNAL_POOL, host, limits=LIMITS)
    yield made
    made.close()


async def test_an_unanswered_subscription_is_retried(stub: StubEngine, backend: DockerBackend) -> None:
    stub.modes["/events"] = ResponseMode.SILENT
    stream: Any = backend.changes()
    async with asyncio.timeout(60), aclosing(stream) as changes:
        first = asyncio.create_task(anext(changes))
        await stub.wait_for_request("GET /events")
        stub.modes["/events"] = ResponseMode.OPEN
        assert [await first, await anext(changes)] == [Contact.LOST, Contact.CONNECTED]


async def test_an_engine_that_is_unreachable_at_first_is_lost_and_logged_once(
    stub: StubEngine, backend: DockerBackend, caplog: pytest.LogCaptureFixture
) -> None:
    stub.modes["/events"] = ResponseMode.OPEN
    stub.running.clear()
    stream: Any = backend.changes()
    async with asyncio.timeout(60), aclosing(stream) as changes:
        assert await anext(changes) is Contact.LOST
        stub.running.set()
        assert await anext(changes) is Contact.CONNECTED
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert loud == [f"Docker at {stub.url} does not answer: timed out"]


async def test_events_are_followed_again_after_an_engine_hang(stub: StubEngine, backend: DockerBackend) -> None:
    stub.modes["/events"] = ResponseMode.OPEN
    stream: Any = backend.changes()
    async with asyncio.timeout(60), aclosing(stream) as changes:
        assert await anext(changes) is Contact.CONNECTED
        stub.running.clear()
        assert await reason_of(backend.check()) == reasons.DAEMON_UNREACHABLE
        assert await anext(changes) is Contact.LOST
        stub.running.set()
        assert await anext(changes) is Contact.CONNECTED
