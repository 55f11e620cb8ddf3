"""The embedded API, so that golden files contain what the product really stores."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from controller.machinery import kinds as core_kinds
from tests.support.embedded_api import EmbeddedApi


@pytest.fixture
async def empty_api(embedded_api: EmbeddedApi) -> AsyncIterator[EmbeddedApi]:
    """The server without Runtimes or commands, and with two other namespaces."""
    client = embedded_api.client(user="admin")
    present = {namespace["metadata"]["name"] for namespace in await client.list(core_kinds.NAMESPACES)}
    for name in {"a", "b"} - present:
        await client.create(core_kinds.NAMESPACES, {"metadata": {"name": name}})
    await client.close()
    yield embedded_api
    await embedded_api.clear()
