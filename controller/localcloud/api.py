"""The local cloud's HTTP API for scripts and the command line, on a Unix socket accessible only to its owner.

    GET  /agents                                   known agents, each with its last heartbeat
    GET  /agents/NAME?wait=SECONDS                 one agent, once it is connected
    GET  /agents/NAME/heartbeats?since=UNIX        heartbeats after that time
    POST /agents/NAME/send {topic, fields, timeout}    send one message, {"answer": ...}

Failures are {"error": "<sentence>"} with status 400 (bad request) or 504 (the agent is disconnected or silent).
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from controller import errors
from controller.localcloud.agents import Agent, Heartbeat
from controller.localcloud.server import ANSWER_SECONDS, Cloud

SOCKET_FILE = "api.sock"
LONGEST_PATH = 100  # unix(7): sun_path has 108 bytes


class Api:
    """Serves the API of ``cloud`` on a socket in its directory."""

    def __init__(self, cloud: Cloud, *, clock: Callable[[], float] = time.time) -> None:
        self._cloud = cloud
        self._clock = clock
        self._path = socket_path(cloud.directory)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises errors.SettingError when another local cloud uses the directory."""
        # asyncio removes an existing socket before it binds, even one that another cloud listens on.
        if _answers(self._path):
            raise errors.SettingError(f"a local cloud already runs on {self._cloud.directory}; choose another --dir")
        app = web.Application(middlewares=[_errors_as_json])
        app.router.add_get("/agents", self._agents)
        app.router.add_get("/agents/{name}", self._agent)
        app.router.add_get("/agents/{name}/heartbeats", self._heartbeats)
        app.router.add_post("/agents/{name}/send", self._send)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.UnixSite(self._runner, self._path).start()
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()
            self._path.unlink(missing_ok=True)

    async def _agents(self, _: web.Request) -> web.Response:
        return web.json_response([self._shown(agent) for agent in self._cloud.agents.all()])

    async def _agent(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        await self._cloud.wait_agent(name, _number(request.query.get("wait", "0")))
        return web.json_response(next(self._shown(a) for a in self._cloud.agents.all() if a.common_name == name))

    async def _heartbeats(self, request: web.Request) -> web.Response:
        since = _number(request.query.get("since", "0"))
        beats = self._cloud.received(request.match_info["name"])
        return web.json_response([beat._asdict() for beat in beats if beat.received > since])

    async def _send(self, request: web.Request) -> web.Response:
        body = await request.json()
        if not isinstance(body, dict) or not isinstance(topic := body.get("topic"), str):
            raise ValueError('send {"topic": "...", "fields": {...}}')
        fields = body.get("fields", {})
        if not isinstance(fields, dict):
            raise ValueError("fields must be an object")
        message = complete(topic, fields, self._clock())
        seconds = _number(body.get("timeout", ANSWER_SECONDS))
        answer = await self._cloud.send(request.match_info["name"], topic, message, seconds)
        return web.json_response({"answer": answer})

    def _shown(self, agent: Agent) -> dict[str, Any]:
        since = agent.session.since if agent.session else None
        return {"agent": agent.common_name, "connected_since": since, "last_heartbeat": _beat(agent.heartbeats.last())}


def socket_path(directory: Path) -> Path:
    """Return the path of a local cloud's API socket. Raises errors.SettingError when it is too long."""
    path = directory.absolute() / SOCKET_FILE
    if len(str(path).encode()) > LONGEST_PATH:
        raise errors.SettingError(f"the path {path} is too long for a Unix socket; choose a shorter --dir")
    return path


def _beat(beat: Heartbeat | None) -> dict[str, Any] | None:
    return beat._asdict() if beat else None


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        raise ValueError(f"{text!r} is not a number of seconds") from None


def _answers(path: Path) -> bool:
    """Return whether a server listens on the socket; a file left by a killed server does not count."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except errors.LinkError as error:
        return web.json_response({"error": str(error)}, status=504)
    except (ValueError, json.JSONDecodeError) as error:
        return web.json_response({"error": str(error)}, status=400)


def complete(topic: str, fields: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return a message of ``topic``; id and time default to values derived from ``now`` (Unix seconds)."""
    requested_at = datetime.fromtimestamp(now, UTC).isoformat()
    return {"correlation_id": int(now * 1000), "action": topic, "requested_at": requested_at, **fields}
