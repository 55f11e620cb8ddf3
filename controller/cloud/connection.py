"""One connection to the cloud, used once: reconnecting creates a new one.

python-socketio's own reconnection is disabled: it would send a late acknowledgement on the next connection, where
its number belongs to another request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import socketio

from controller.cloud import packets, transport
from controller.cloud.dispatcher import Dispatcher
from controller.cloud.heartbeat import ACKNOWLEDGEMENT, Heartbeat, HeartbeatSender
from controller.cloud.identity import Identity
from controller.errors import LinkError

CONNECT_SECONDS = 20.0
CLOSE_SECONDS = 1.0

log = logging.getLogger(__name__)


class Connection:
    """One Socket.IO client on one HTTP session, as an async context manager that connects on entry.

    Entering raises any error of the libraries, TimeoutError, or LinkError if the cloud refuses the agent.
    """

    def __init__(self, url: str, identity: Identity, dispatcher: Dispatcher, connect_seconds: float) -> None:
        self._url = url
        self._identity = identity
        self._dispatcher = dispatcher
        self._connect_seconds = connect_seconds
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._refusal = ""
        self._sender: HeartbeatSender | None = None
        self._session = transport.session(identity.context)
        self._client = self._make_client()

    async def __aenter__(self) -> Connection:
        try:
            # wait_timeout limits only the wait for the namespace, not an endpoint that accepts TCP or TLS and never
            # answers.
            async with asyncio.timeout(self._connect_seconds):
                # Without polling: its requests would need sticky sessions at a load balancer.
                await self._client.connect(self._url, transports=["websocket"], wait_timeout=self._connect_seconds)
            if (task := asyncio.current_task()) and task.cancelling():
                # The library's asyncio.wait_for swallows a cancellation that meets its result (CPython gh-86296).
                raise asyncio.CancelledError
        except BaseException as error:
            await self._close()
            # The library's own error does not contain the cloud's reason.
            if self._refusal and isinstance(error, socketio.exceptions.ConnectionError):
                raise LinkError(f"the cloud refuses agent {self._identity.agent_id}: {self._refusal}") from error
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is asyncio.CancelledError:  # stopping: give queued packets a chance to go out
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._client.disconnect()
        await self._close()

    async def serve(self, heartbeat: Heartbeat) -> None:
        """Send heartbeats and answer events until the connection ends; always raises LinkError with the reason."""
        self._sender = heartbeat.sender()
        heartbeat_task = asyncio.create_task(self._sender.run(self._identity.agent_id, self._emit))
        heartbeat_task.add_done_callback(self._on_heartbeat_ended)
        try:
            raise LinkError(f"the link was lost: {await self._ended}")
        finally:
            heartbeat_task.cancel()

    def _make_client(self) -> socketio.AsyncClient:
        client = socketio.AsyncClient(
            # For one connection only: instead of a closed session, engineio silently opens one without the client
            # certificate.
            http_session=self._session,
            reconnection=False,
            handle_sigint=False,
            serializer=packets.Packet,
            websocket_extra_options=transport.websocket_options(self._url),
        )
        client.on(packets.INCOMING, self._on_incoming)
        client.on(packets.CLOSED, self._on_closed)
        client.on("disconnect", self._on_ended)
        client.on("connect_error", self._on_refused)
        return client

    async def _emit(self, event: str, payload: Any, callback: Any = None) -> None:
        try:
            await self._client.emit(event, payload, callback=callback)
        except socketio.exceptions.SocketIOError as error:
            raise LinkError(str(error)) from error

    async def _on_incoming(self, event: packets.Incoming) -> dict[str, Any] | None:
        """Answer an event. The return value becomes the acknowledgement, if the event requests one.

        A heartbeat's acknowledgement is not a command and gets no answer, whatever its payload.
        """
        if event.name == ACKNOWLEDGEMENT:
            # The cloud may send events before serve() runs.
            if self._sender is not None:
                self._sender.acknowledged()
            return None
        # Must not raise: the library would only log that, and the cloud would wait for its acknowledgement in vain.
        answer = await self._dispatcher.answer(event)
        if event.wants_acknowledgement:
            return answer
        try:
            await self._emit(event.name, answer)
        except LinkError:
            # Nothing is lost: a redelivered command gets the same answer, and a query can be sent again.
            log.info("Dropped the answer to %s: the link was lost", event.name)
        return None

    async def _on_closed(self) -> None:
        self._on_ended("the cloud closed it")

    def _on_ended(self, reason: str = "") -> None:
        # Transport, packets and heartbeat may each report the same end: the first one has the cause.
        if not self._ended.done():
            self._ended.set_result(reason or "no reason given")

    def _on_heartbeat_ended(self, heartbeat_task: asyncio.Task[None]) -> None:
        if not heartbeat_task.cancelled() and (error := heartbeat_task.exception()):
            self._on_ended(str(error))

    def _on_refused(self, reason: Any = None) -> None:
        """Keep the cloud's reason for refusing the namespace: an object with a message (a string is the library's)."""
        if isinstance(reason, dict):
            self._refusal = str(reason.get("message", "no reason given"))[:200]

    async def _close(self) -> None:
        """Close the transport, which ends the client's tasks. A graceful disconnect would wait for a dead peer."""
        await self._session.close()
        # wait() neither cancels the task nor raises its error, and a reader that hangs delays the next connection by a
        # second.
        if reading := self._client.eio.read_loop_task:
            await asyncio.wait([reading], timeout=CLOSE_SECONDS)
