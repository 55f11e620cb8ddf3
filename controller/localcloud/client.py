"""The command line's client of the local cloud's HTTP API."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from controller import errors
from controller.localcloud.api import socket_path

EXTRA_SECONDS = 10.0  # on top of the cloud's own timeout


class Client:
    """Talks to the local cloud that runs on ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def agents(self) -> list[dict[str, Any]]:
        """Return all agents that the cloud knows."""
        found: list[dict[str, Any]] = await self._ask("GET", "/agents")
        return found

    async def send(self, agent: str, topic: str, fields: dict[str, Any], seconds: float) -> Any:
        """Send one message and return its answer. Raises errors.LinkError when there is none."""
        body = {"topic": topic, "fields": fields, "timeout": seconds}
        return (await self._ask("POST", f"/agents/{quote(agent, safe='')}/send", body, seconds))["answer"]

    async def _ask(self, method: str, path: str, body: Any = None, seconds: float = 0) -> Any:
        """Send one request. Raises errors.LinkError with the cloud's error, or when no cloud runs."""
        connector = aiohttp.UnixConnector(path=str(socket_path(self._directory)))
        timeout = aiohttp.ClientTimeout(total=seconds + EXTRA_SECONDS)
        try:
            async with (
                aiohttp.ClientSession("http://local", connector=connector, timeout=timeout) as session,
                session.request(method, path, json=body) as response,
            ):
                answer = await response.json()
        except aiohttp.ClientConnectionError as error:
            raise errors.LinkError(
                f"no local cloud runs on {self._directory}; start one with `edge-controller cloud serve`"
            ) from error
        except TimeoutError as error:
            raise errors.LinkError("the local cloud did not answer in time") from error
        if response.status >= 400:
            raise errors.LinkError(str(answer["error"]))
        return answer
