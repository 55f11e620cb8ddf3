"""Decides which requests to a runtime only read, and so need neither the queue nor the journal. Pure.

The method is not enough: OpenPLC's runtime starts and stops PLCs by GET. A request is a read only if its path equals a
configured one exactly, both as received and as it will be sent.
"""

from __future__ import annotations

from collections.abc import Iterable

from yarl import URL

from controller.cloud.contracts.commands import RunCommand

CONTROL_PORT = 8443  # runtimes serve HTTPS on this port with their own certificate
_METHODS = ("GET", "HEAD")
# Headers that no web framework takes as another method or path. An allow list, because the dangerous ones cannot be
# enumerated: CGI and WSGI treat X_HTTP_METHOD_OVERRIDE like X-HTTP-Method-Override, and X-Script-Name and
# X-Original-URI are in common use too.
_HEADERS = frozenset(
    {
        "accept", "accept-charset", "accept-encoding", "accept-language", "authorization", "cache-control", "cookie",
        "content-type", "if-modified-since", "if-none-match", "origin", "pragma", "referer", "user-agent",
        "x-correlation-id", "x-csrf-token", "x-request-id", "x-requested-with",
    }
)  # fmt: skip


class Reads:
    """``paths`` are absolute, without a query or characters that need escaping."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths)

    def __contains__(self, message: RunCommand) -> bool:
        return (
            message.method in _METHODS
            and message.port in (None, CONTROL_PORT)
            and message.data is None
            and not message.files
            and _HEADERS.issuperset(name.lower() for name in message.headers)
            and message.api.partition("?")[0] in self._paths
            and self._is_sent_as_read(message)
        )

    def _is_sent_as_read(self, message: RunCommand) -> bool:
        """Whether the URL has a configured path as the HTTP client writes it, and no parameter that names a method."""
        try:
            url = URL(f"https://runtime{message.api}")
        except ValueError:
            return False
        return url.raw_path in self._paths and not any(map(_names_method, (*url.query, *message.params)))


def _names_method(parameter: str) -> bool:
    """Whether a framework may take it as the method: ``_method`` in Rails, Laravel, Symfony and recipes for Flask."""
    return "method" in parameter.lower()
