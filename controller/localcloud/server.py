"""The local cloud: a Socket.IO server with mutual TLS that identifies agents by the CN of their certificates.

It accepts agents with a certificate of its own CA, acknowledges heartbeats and sends any topic. It validates neither
messages nor answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import socketio
from aiohttp import web

from controller import errors
from controller.localcloud.agents import Agent, Agents, Heartbeat, Session
from controller.localcloud.authority import Authority

HOSTS = ["localhost", "127.0.0.1", "::1"]
ANSWER_SECONDS = 60.0

logger = logging.getLogger(__name__)


class Cloud:
    """A local cloud with its CA and certificates in ``directory``.

    ``port`` 0 takes any free port, which is kept across a stop and start.
    """

    def __init__(
        self,
        directory: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.directory = directory
        self.host = host
        self.port = port
        self.agents = Agents(clock)
        self._runner: web.AppRunner | None = None
        self._server = self.make_server()

    @property
    def url(self) -> str:
        """The URL for agents."""
        host = "localhost" if self.host in HOSTS else self.host
        return f"https://{host}:{self.port}"

    def make_server(self) -> socketio.AsyncServer:
        """Create a Socket.IO server with the handlers of a cloud."""
        server = socketio.AsyncServer(async_mode="aiohttp")
        server.on("connect", self._on_connect)
        server.on("disconnect", self._on_disconnect)
        server.on("heartbeat", self._on_heartbeat)
        return server

    # -- start and stop ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. Raises errors.SettingError when the address or the state directory cannot be used."""
        context = await asyncio.to_thread(self._ssl_context)
        self._server = self.make_server()
        app = web.Application()
        self._server.attach(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port, ssl_context=context).start()
        except OSError as error:
            await runner.cleanup()
            raise errors.SettingError(
                f"the local cloud cannot listen on {self.host}:{self.port}: {error.strerror}; choose another --listen"
            ) from error
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every connection and stop listening; does nothing if it is not running."""
        if self._runner is None:
            return
        for agent in self.agents.all():
            if agent.session:
                await self._drop(agent.session)
        await self._server.shutdown()
        await self._runner.cleanup()
        self._runner = None

    async def enroll(self, common_name: str, out: Path | None = None) -> Path:
        """Issue a certificate for an agent; return the folder with client.crt, client.key and ca.crt.

        Raises errors.CommandError for an invalid name.
        """
        return await asyncio.to_thread(lambda: Authority(self.directory).enroll(common_name, out))

    def _ssl_context(self) -> ssl.SSLContext:
        authority = Authority(self.directory)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.ca_pem.decode())
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(authority.server(sorted({*HOSTS, self.host})))
        return context

    # -- agents ------------------------------------------------------------------------------------------------

    def connected(self) -> list[Agent]:
        """Return the connected agents."""
        return [agent for agent in self.agents.all() if agent.session]

    async def wait_agent(self, common_name: str, timeout: float = 10) -> Session:  # noqa: ASYNC109 - part of the API
        """Wait for the agent's connection. Raises errors.LinkError on timeout."""
        try:
            async with asyncio.timeout(timeout):
                return await self.agents.wait(common_name)
        except TimeoutError:
            raise errors.LinkError(f"agent {common_name} did not connect within {timeout:g} s") from None

    def heartbeats(self, common_name: str) -> list[Any]:
        """Return the payloads of the agent's last heartbeats (as many as agents.Heartbeats keeps), oldest first."""
        return [beat.payload for beat in self.received(common_name)]

    async def next_heartbeat(self, common_name: str, timeout: float = 10) -> Any:  # noqa: ASYNC109
        """Wait for the agent's next heartbeat and return its payload. Raises errors.LinkError on timeout."""
        try:
            async with asyncio.timeout(timeout):
                return (await self.agents.next_heartbeat(common_name)).payload
        except TimeoutError:
            raise errors.LinkError(f"agent {common_name} sent no heartbeat within {timeout:g} s") from None

    def received(self, common_name: str) -> list[Heartbeat]:
        """Return the agent's last heartbeats with their times of arrival, oldest first."""
        return self.agents.heartbeats(common_name)

    async def send(self, common_name: str, topic: str, payload: Any, timeout: float = ANSWER_SECONDS) -> Any:  # noqa: ASYNC109
        """Send one event and return its acknowledgement (None if empty).

        Raises errors.LinkError when the agent is not connected, disconnects before it answers, or does not answer
        within ``timeout`` seconds.
        """
        session = self._session(common_name)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def on_answer(*arguments: Any) -> None:
            if not answer.done():
                answer.set_result(arguments[0] if arguments else None)

        # Not call(), which would wait its whole timeout after the agent has disconnected.
        await self._server.emit(topic, payload, to=session.sid, callback=on_answer)
        return await self._first_of(answer, session, common_name, timeout)

    async def emit(self, common_name: str, topic: str, payload: Any) -> None:
        """Send one event without an acknowledgement. Raises errors.LinkError when the agent is not connected."""
        await self._server.emit(topic, payload, to=self._session(common_name).sid)

    async def drop(self, common_name: str) -> None:
        """Close the agent's connection so that the agent reconnects."""
        await self._drop(self._session(common_name))

    def _session(self, common_name: str) -> Session:
        session = self.agents.session(common_name)
        if session is None:
            raise errors.LinkError(f"agent {common_name} is not connected")
        return session

    async def _first_of(self, answer: asyncio.Future[Any], session: Session, common_name: str, seconds: float) -> Any:
        gone = asyncio.ensure_future(session.gone.wait())
        try:
            await asyncio.wait([answer, gone], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        if answer.done():
            return answer.result()
        if session.gone.is_set():
            raise errors.LinkError(f"agent {common_name} disconnected before it answered")
        raise errors.LinkError(f"agent {common_name} did not answer within {seconds:g} s")

    async def _drop(self, session: Session) -> None:
        with contextlib.suppress(KeyError):
            await self._server.disconnect(session.sid)

    # -- handlers ----------------------------------------------------------------------------------------------

    async def _on_connect(self, sid: str, environ: dict[str, Any]) -> bool:
        common_name = _common_name(environ["aiohttp.request"])
        if common_name is None:
            logger.warning("Refused a client without a CN in its certificate")
            return False
        replaced = await self.agents.connected(common_name, sid)
        logger.info("Agent %s connected", common_name)
        # An agent that lost its link returns before the server has noticed the loss.
        if replaced:
            await self._drop(replaced)
        return True

    async def _on_disconnect(self, sid: str, reason: str) -> None:
        if common_name := self.agents.disconnected(sid):
            logger.info("Agent %s disconnected: %s", common_name, reason)

    async def _on_heartbeat(self, sid: str, payload: Any = None) -> None:
        await self.agents.beat(sid, payload)  # returning is the acknowledgement


def _common_name(request: web.Request) -> str | None:
    """Return the CN of the client certificate, which TLS has already verified."""
    certificate = request.transport.get_extra_info("peercert") if request.transport else None
    for relative_name in (certificate or {}).get("subject", ()):
        for attribute, value in relative_name:
            if attribute == "commonName" and value:
                return str(value)
    return None
