"""The read buffers of TLS connections, which asyncio allocates from the first byte on, one for each side."""

from __future__ import annotations

from asyncio import sslproto

# A TLS record has 16 KiB. asyncio's 256 KiB are 6 MB for our own connections, and a hundred for all that we accept.
READ_BYTES = 32 << 10


def shrink() -> None:
    """Give connections that are opened later a read buffer of READ_BYTES."""
    # On the class, because neither create_server() nor create_connection() has a parameter for it.
    sslproto.SSLProtocol.max_size = READ_BYTES
