"""A server of the embedded API in the event loop of a test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from controller.apiserver.server import ApiServer


@contextlib.asynccontextmanager
async def serving(directory: Path, *definitions: dict[str, Any]) -> AsyncIterator[ApiServer]:
    """A started server with these CustomResourceDefinitions."""
    server = ApiServer(directory, "127.0.0.1", 0, definitions, "edge")
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
