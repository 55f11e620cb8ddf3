"""Requests as the filters and handlers see them: those of connections, and those of the process that serves the API.

Also the stream that the latter get, which nobody sends.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from aiohttp import web
from multidict import CIMultiDict, MultiDict


class OwnRequest(dict[web.RequestKey[Any], Any]):
    """A request of this process itself, without a connection; as a mapping it holds what the filters note about it."""

    remote: str | None = None

    def __init__(
        self,
        app: web.Application,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        content: bytes,
    ) -> None:
        super().__init__()
        self.app = app
        self.method = method
        self.path = path
        self.query = MultiDict(query)
        self.headers = CIMultiDict(headers)
        self.content = content

    def get_extra_info(self, _name: str) -> Any:
        """None: there is no connection to know anything about."""
        return None

    @property
    def can_read_body(self) -> bool:
        """Whether it has a body."""
        return bool(self.content)


Incoming = web.Request | OwnRequest


class OwnStream(web.StreamResponse):
    """The response to a watch of this process itself: its lines, which the caller takes and closes."""

    def __init__(self, lines: AsyncGenerator[bytes]) -> None:
        super().__init__()
        self.lines = lines
