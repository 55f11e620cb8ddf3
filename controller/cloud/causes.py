"""Translates the libraries' connection errors into one actionable sentence.

The same cause always yields the same text, so that the log can detect a new cause. No I/O.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp

from controller.errors import EdgeError

# X509_V_ERR_* of OpenSSL (openssl-verification-options(1), x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNTRUSTED = {2, 18, 19, 20, 21}
_OTHER_NAME = {62, 63, 64}

# These aiohttp exceptions subclass the error they wrap but drop its details, so they are skipped.
_WRAPPERS = (aiohttp.ClientConnectorError, aiohttp.ClientConnectorCertificateError)
# In TLS 1.2 a refused client certificate may also be a handshake_failure or access_denied (RFC 5246 section 7.2.2).
_ABOUT_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "ACCESS_DENIED")

MAX_CHAIN = 12  # exceptions followed through __cause__ and __context__


def explain(error: BaseException, url: str) -> str:
    """Describe why the link to ``url`` is down, from ``error`` or an exception in its chain."""
    for each in _chain(error):
        for kind, sentence in _SENTENCES:
            if isinstance(each, kind) and (text := sentence(each, url)):
                return text
    return f"{type(error).__name__}: {error}"[:300]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes. Follows __context__ as well, because engineio raises without a cause."""
    # Bounded, because causes and contexts may form a cycle.
    for _ in range(MAX_CHAIN):
        if error is None:
            return
        # The proxy's error is a ClientConnectorError too, but only its class tells that the proxy is unreachable.
        if not isinstance(error, _WRAPPERS) or isinstance(error, aiohttp.ClientProxyConnectionError):
            yield error
        error = error.__cause__ or error.__context__


def _untrusted(error: Any, url: str) -> str:
    if error.verify_code == _NOT_YET_VALID:
        return f"the certificate of {url} is not valid yet: this host's clock is probably wrong, set it"
    if error.verify_code == _EXPIRED:
        return (
            f"the certificate of {url} has expired, or this host's clock is wrong: compare the date, then ask the cloud"
        )
    if error.verify_code in _OTHER_NAME:
        return f"the certificate of {url} is issued for another name: correct EDGE_CLOUD_URL"
    if error.verify_code in _UNTRUSTED:
        return f"the certificate of {url} is signed by an untrusted CA: set EDGE_CLOUD_CA to that CA"
    return f"the certificate of {url} cannot be verified: {error.verify_message}"


def _tls(error: Any, url: str) -> str:
    """For an SSLError, or aiohttp's ClientOSError around one. TLS alerts name what the peer rejects (RFC 8446, 6)."""
    found = re.search(r"[A-Z0-9]+_ALERT_([A-Z_]+)", str(error))
    if found and any(part in found[1] for part in _ABOUT_CERTIFICATE):
        return f"{url} refuses the client certificate ({found[1]}): ask the cloud for a new one"
    if "WRONG_VERSION_NUMBER" in str(error):
        return f"{url} does not speak TLS: correct EDGE_CLOUD_URL"
    # An OSError that is not about TLS falls through to the rows below: an empty sentence is no match.
    return f"the TLS connection to {url} failed: {error}" if isinstance(error, ssl.SSLError) else ""


def _handshake(error: Any, url: str) -> str:
    return f"{url} answers with HTTP status {error.status} instead of a WebSocket; the cloud may be down"


def _proxy(error: Any, url: str) -> str:
    return f"the proxy answers {error.status} {error.message} for {url}: check HTTPS_PROXY"


def _proxy_unreachable(_: Any, url: str) -> str:
    return f"the proxy for {url} cannot be reached: check HTTPS_PROXY"


def _malformed(*_: Any) -> str:
    return "EDGE_CLOUD_URL or HTTPS_PROXY is not a URL: correct it"  # omits the value, which may contain a password


def _unresolved(_: Any, url: str) -> str:
    return f"the name in {url} cannot be resolved: check this host's DNS and EDGE_CLOUD_URL"


def _disconnected(_: Any, url: str) -> str:
    # In TLS 1.3 a client finishes its handshake before the server checks its certificate, so a refusal may look like
    # this.
    return f"{url} closes the connection without an answer; it may refuse the client certificate"


def _refused(_: Any, url: str) -> str:
    return f"{url} refuses connections; the cloud may be down, or a firewall may block them"


def _unreachable(error: Any, url: str) -> str:
    return f"{url} cannot be reached: {error.strerror}" if error.strerror else f"{url} cannot be reached"


def _timed_out(_: Any, url: str) -> str:
    return f"{url} does not answer in time"


# The first matching row wins, so subclasses come before their base classes.
_SENTENCES: list[tuple[type[BaseException], Callable[[Any, str], str]]] = [
    (EdgeError, lambda error, _: str(error)),
    (ssl.SSLCertVerificationError, _untrusted),
    (aiohttp.WSServerHandshakeError, _handshake),
    (aiohttp.ClientHttpProxyError, _proxy),
    (aiohttp.ClientProxyConnectionError, _proxy_unreachable),
    (aiohttp.InvalidURL, _malformed),
    (aiohttp.ServerDisconnectedError, _disconnected),
    (socket.gaierror, _unresolved),
    (ssl.SSLError, _tls),
    (aiohttp.ClientOSError, _tls),
    (TimeoutError, _timed_out),
    (ConnectionResetError, _disconnected),
    (ConnectionRefusedError, _refused),
    (OSError, _unreachable),
]
