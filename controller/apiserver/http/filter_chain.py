"""The filters around every request: authentication, authorization, limits, audit log, encoding.

Knows nothing about objects; turns every exception of the inner handler into a Status.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

from aiohttp import web

from controller import errors
from controller.apiserver import failures
from controller.apiserver.access import attributes, audit
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.authorization import Policy
from controller.apiserver.access.identities import ANONYMOUS, Identity
from controller.apiserver.access.users import Users
from controller.apiserver.http import limits, responses
from controller.apiserver.http.limits import Limits
from controller.apiserver.http.listener import MARK_AUTHENTICATED
from controller.apiserver.incoming import Incoming, OwnRequest, OwnStream

Inner = Callable[[Incoming, Attributes, Identity], Awaitable[web.StreamResponse]]

logger = logging.getLogger(__name__)


class FilterChain:
    """The server's only handler; wraps the inner handler, which produces the response."""

    def __init__(self, users: Users, policy: Policy, limits: Limits, inner: Inner) -> None:
        self._users = users
        self._policy = policy
        self._limits = limits
        self._inner = inner

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Handle any request. A response that is not a stream is sent while the request still holds its place."""
        async with contextlib.AsyncExitStack() as held:
            answer = await self._answer(request, held)
            if isinstance(answer, web.Response):
                # A client that has gone is no error; aiohttp finds the connection closed.
                with contextlib.suppress(ConnectionError):
                    return await responses.deliver(request, answer)
        return answer

    async def answer_own(self, request: OwnRequest) -> web.Response:
        """Handle a request of this process. Raises TypeError for a stream."""
        async with contextlib.AsyncExitStack() as held:
            answer = await self._answer(request, held)
        if not isinstance(answer, web.Response):
            raise TypeError(f"{request.path} is a stream")
        return answer

    async def watch_own(self, request: OwnRequest) -> AsyncGenerator[bytes]:
        """The lines of a watch of this process; a refusal is a line, too, as the failure of a watch is."""
        async with contextlib.AsyncExitStack() as held:
            answer = await self._answer(request, held)
            if isinstance(answer, OwnStream):
                async with contextlib.aclosing(answer.lines) as lines:
                    async for line in lines:
                        yield line
            elif isinstance(answer, web.Response) and isinstance(answer.body, bytes):
                yield b'{"type":"ERROR","object":%b}\n' % answer.body

    async def _answer(self, request: Incoming, held: contextlib.AsyncExitStack) -> web.StreamResponse:
        """Return the response, and note it in the audit log; ``held`` receives the place in the limits."""
        started, attrs = time.monotonic(), attributes.of(request)
        answer, user = await self._response(request, attrs, held)
        # Before it is sent, which a client that does not read can delay by a minute.
        audit.note(request, user, attrs, answer.status, time.monotonic() - started)
        return answer

    async def _response(
        self, request: Incoming, attrs: Attributes, held: contextlib.AsyncExitStack
    ) -> tuple[web.StreamResponse, Identity]:
        """Return the response and the user."""
        user = ANONYMOUS
        # Set before authentication, which may fail: encoding that failure, e.g. as YAML, takes a turn.
        request[limits.TURN] = self._limits.turn(user)
        try:
            user = self._users.of(request)
            request[limits.TURN] = self._limits.turn(user)
            if user.name != ANONYMOUS.name and isinstance(request, web.Request):
                request[MARK_AUTHENTICATED](user.impersonator or user.name)
            # Before a place is taken and the body is read: without rights nobody can use up either.
            self._policy.check(user, attrs)
            # Around the place, since a list may have to wait for one.
            async with limits.time(attrs, request.query.get("timeout", "")):
                await held.enter_async_context(self._limits.place(user, attrs))
                answer = await self._inner(request, attrs, user)
                return await _finished(request, answer), user
        except failures.Failure as failure:
            failed = responses.failed(failure)
        except errors.ApiError as error:
            # A full disk is logged once, when it fills up.
            level = logging.DEBUG if isinstance(error, errors.DiskFullError) else logging.ERROR
            logger.log(level, "%s %s failed: %s", request.method, request.path, error)
            failed = responses.failed(failures.Failure(error.code, error.reason, str(error)))
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            failed = responses.failed(failures.internal("see the log of the controller"))
        return await _finished(request, failed), user


async def _finished(request: Incoming, answer: web.StreamResponse) -> web.StreamResponse:
    if isinstance(answer, web.Response):
        answer.headers.update(responses.HEADERS)
        await responses.finish(request, answer)
    return answer
