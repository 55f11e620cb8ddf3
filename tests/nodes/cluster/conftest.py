"""An embedded API for the parts of a cluster, as administrator: it has no accounts for nodes and leaders."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from controller.api import kinds
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from tests.support.embedded_api import NAMESPACE, EmbeddedApi


@pytest.fixture
async def api(embedded_api: EmbeddedApi) -> AsyncIterator[ApiClient]:
    """A client with all permissions; removes what the test created."""
    api = embedded_api.client(user="admin")
    yield api
    await embedded_api.clear()
    for kind, namespace in (
        (core_kinds.LEASES, NAMESPACE),
        (kinds.EDGE_NODES, ""),
        (core_kinds.CONFIG_MAPS, NAMESPACE),
    ):
        for found in await api.list(kind, namespace):
            await api.delete(kind, found["metadata"]["name"], namespace)
    await api.close()
