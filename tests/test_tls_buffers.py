"""The read buffers of TLS connections, in a process of its own, as they are set for the whole process."""

from __future__ import annotations

import sys

from controller.tls_buffers import READ_BYTES
from tests.support import command

SIZE = "from asyncio import sslproto; print(sslproto.SSLProtocol.max_size)"


def buffer_bytes(before: str) -> int:
    """The read buffer of a connection opened after ``before``."""
    return int(command.run(sys.executable, "-c", f"{before}\n{SIZE}").stdout)


def test_connections_have_small_read_buffers_from_the_call_on() -> None:
    assert buffer_bytes("from controller import tls_buffers; tls_buffers.shrink()") == READ_BYTES


def test_importing_a_server_changes_no_read_buffer() -> None:
    assert buffer_bytes("import controller.machinery.acceptor, controller.cli.run") > READ_BYTES
