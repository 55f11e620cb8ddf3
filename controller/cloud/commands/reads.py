"""Which requests to a runtime only read, so that they need neither order nor a record. Pure.

The method tells nothing: OpenPLC's runtime starts and stops PLCs by GET. A request is a read when its path is one of
those configured, to the letter, both as it came and as it will be sent.
"""

from __future__ import annotations

from collections.abc import Iterable

from yarl import URL

from controller.cloud.contracts.commands import RunCommand

CONTROL_PORT = 8443
_METHODS = ("GET", "HEAD")
# Headers by which common web frameworks take another method or path than those of the request line.
_OVERRIDES = frozenset(
    {"x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url"}
)


class Reads:
    """``paths`` are absolute, without a query and without anything that needs an escape."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths)

    def __contains__(self, message: RunCommand) -> bool:
        return (
            message.method in _METHODS
            and message.port in (None, CONTROL_PORT)
            and message.data is None
            and not message.files
            and _OVERRIDES.isdisjoint(name.lower() for name in message.headers)
            and message.api.partition("?")[0] in self._paths
            and _sent(message.api) in self._paths
        )


def _sent(path: str) -> str:
    """The path on the request line, as the HTTP client writes it."""
    try:
        return URL(f"https://runtime{path}").raw_path
    except ValueError:
        return ""
