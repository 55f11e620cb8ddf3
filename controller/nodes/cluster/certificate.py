"""The certificate that authenticates a node to the leader: self-signed, new at every start, published in the EdgeNode.

Whoever may write an EdgeNode's status may speak for that node, so the API is the authority (decision 112). The key
never leaves this process.
"""

from __future__ import annotations

import datetime
import ssl
import tempfile
from pathlib import Path
from typing import NamedTuple

# The leader trusts exactly this certificate, so validity dates would add nothing but failures on hosts with a wrong
# clock.
END = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)  # RFC 5280 section 4.1.2.5

HOST = "node"  # the name in every certificate: the certificate itself identifies the node


class ServerCertificate(NamedTuple):
    """``pem`` is published in the EdgeNode; ``context`` is for the server."""

    pem: str
    context: ssl.SSLContext


def make() -> ServerCertificate:
    """A new certificate. Blocking (about 1 ms)."""
    from controller import certificates  # noqa: PLC0415 - the library that issues them, which the leader does not need

    valid = certificates.Period(certificates.BEGIN, END)
    pem, secret = certificates.authority(HOST, valid, names=[certificates.host_name(HOST)]).pem()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Both ends are this program, so no older version is needed.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with tempfile.NamedTemporaryFile() as file:  # mode 0600; ssl loads keys from files only
        Path(file.name).write_bytes(secret + pem)
        context.load_cert_chain(file.name)
    return ServerCertificate(pem.decode(), context)


def client_context(pem: str) -> ssl.SSLContext:
    """A client context that trusts only this certificate. Raises ValueError or ssl.SSLError when ``pem`` is none."""
    # Python reads text as PEM, but answers other characters with a TypeError, and empty text with the system's CAs.
    if not pem or not pem.isascii():
        raise ValueError("its certificate is not PEM")
    context = ssl.create_default_context(cadata=pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
