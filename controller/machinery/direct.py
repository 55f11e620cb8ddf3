"""Requests to an API that this process serves itself: no connection and no HTTP, but the same bodies on both sides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from controller.machinery import failures
from controller.machinery.documents import object_of

Direct = Callable[[str, str, Mapping[str, str], Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""Method, path, query, headers and body of a request to the status and the body of its response. Raises OSError."""


async def ask(
    direct: Direct, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """Return the object in the response. Raises errors.ApiError, OSError and ValueError."""
    status, text = await direct(method, path, query, headers, body)
    found = object_of(text)
    if status >= HTTPStatus.BAD_REQUEST:
        raise failures.from_status(found)
    return found
