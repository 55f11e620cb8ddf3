"""Requests to an API that this process serves itself: no connection and no HTTP, but the same bodies on both sides."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from controller.machinery import failures
from controller.machinery.documents import object_of


class Direct(Protocol):
    """The API of this process."""

    async def __call__(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], content: bytes
    ) -> tuple[int, bytes]:
        """The status and the body of the response. Raises OSError."""

    def watch(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[bytes]:
        """The lines of a watch, of which a refusal is one. Raises OSError."""


async def ask(
    direct: Direct, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """Return the object in the response. Raises errors.ApiError, OSError and ValueError."""
    status, text = await direct(method, path, query, headers, body)
    found = object_of(text)
    if status >= HTTPStatus.BAD_REQUEST:
        raise failures.from_status(found)
    return found
