"""Fixtures of the HTTP tests: the client of the process that serves the API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from controller.apiserver.server import ApiServer
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint


@pytest.fixture
async def api(server: ApiServer) -> AsyncIterator[ApiClient]:
    """A client on the socket, without any credentials."""
    client = ApiClient(Endpoint(server.url, socket=server.socket))
    yield client
    await client.close()
