"""The connections of an SDK client to a socket. Import it late: it imports the SDK."""

from __future__ import annotations

from typing import Any

from docker import APIClient, utils
from docker.transport import UnixHTTPAdapter


class SharedPool(UnixHTTPAdapter):
    """One pool of connections for all requests.

    The SDK has one for each URL, and keeps 25 of them: each inspection of more containers opened a connection.
    """

    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:  # noqa: ARG002 - the library's signature
        """The only pool."""
        return super().get_connection("", proxies)


def share(client: APIClient, url: str, size: int) -> None:
    """Let the requests of a client of the socket at ``url`` share ``size`` connections."""
    client.mount(client.base_url, SharedPool(str(utils.parse_host(url)), client.timeout, max_pool_size=size))
