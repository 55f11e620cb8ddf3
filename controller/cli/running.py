"""Reads from the controller that runs, through the UNIX socket of its embedded API. Blocking."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from typing_extensions import override

from controller import errors
from controller.apiserver.http.local_socket import SOCKET
from controller.apiserver.storage import copies

SECONDS = 30.0  # without a byte from the controller


class LocalConnection(HTTPConnection):
    """A connection through a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    @override
    def connect(self) -> None:
        """Connect. Raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(str(self._path))


def backup(state_dir: Path) -> Iterator[copies.Statement]:
    """The statements that write a copy of the database. Raises errors.SettingError."""
    connection = LocalConnection(state_dir / "api" / SOCKET)
    try:
        connection.request("GET", "/backup")
        response = connection.getresponse()
        if response.status != 200:
            raise OSError(f"status {response.status}")
        yield from copies.decode(response)
    except (OSError, HTTPException, ValueError) as error:
        raise errors.SettingError(
            f"the database is in use, but the controller sends no backup ({error}): wait until it has started, or stop "
            "what uses the database"
        ) from error
    finally:
        connection.close()
