"""``GET /backup``: a copy of the database for ``edge-controller backup``, which cannot read the file while we use it.

Served through our UNIX socket only, as Kubernetes has no such path. Writes nothing here, where the disk may be full.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Generator
from functools import partial

from aiohttp import web

from controller import errors
from controller.apiserver.http import responses
from controller.apiserver.http.limits import WORKER
from controller.apiserver.storage import sqlite_errors

PATH = "/backup"


async def answer(request: web.Request, copy: Callable[[], Generator[bytes]]) -> web.StreamResponse:
    """Send the pieces of a copy. Raises errors.ApiUnavailableError."""
    # Read in the worker's only thread: a connection to SQLite belongs to the thread that opened it.
    worker, pieces = request.app[WORKER], copy()
    response = web.StreamResponse(headers={**responses.HEADERS, "Content-Type": "application/json"})
    try:
        piece = await worker.run(partial(_next, pieces))  # before the response begins, so that an error gets its Status
        # A client that has gone is no error.
        with contextlib.suppress(ConnectionResetError):
            await response.prepare(request)
            while piece:
                await responses.send(request, response.write(piece))
                piece = await worker.run(partial(_next, pieces))
    finally:
        await worker.run(pieces.close)
    return response


def _next(pieces: Generator[bytes]) -> bytes:
    """The next piece; empty after the last one."""
    try:
        return next(pieces, b"")
    except sqlite3.Error as error:
        raise errors.ApiUnavailableError(
            f"cannot read the database ({error}): {sqlite_errors.remedy(error)}", code=503, reason="ServiceUnavailable"
        ) from error
