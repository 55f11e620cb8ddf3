"""Addresses that a server listens on: written as HOST:PORT, and how clients reach them."""

from __future__ import annotations

import ipaddress
import socket
from typing import NamedTuple
from urllib.parse import urlsplit


class Listen(NamedTuple):
    """An address to listen on; port 0 takes any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse(text: str, example: str) -> Listen:
    """Return the address written as HOST:PORT; an IPv6 address may be in brackets. Raises ValueError."""
    # The last colon, as an IPv6 address contains others.
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"give it as HOST:PORT, such as {example}")
    return Listen(host.strip("[]"), int(port))


def https_url(host: str, port: int | str) -> str:
    """Return the URL of a server; an IPv6 address is put in brackets (RFC 3986, section 3.2.2)."""
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"


def host_from_here(host: str) -> str:
    """Return the address at which this host reaches a server that listens on ``host``."""
    if not _is_every_address(host):
        return host
    return "::1" if ":" in host else "127.0.0.1"


def host_from_elsewhere(host: str, peer: str) -> str:
    """Return the address at which other hosts reach it: ``host``, or our source address towards the URL ``peer``."""
    if not _is_every_address(host):
        return host
    url = urlsplit(peer)
    for family, kind, _, _, address in socket.getaddrinfo(url.hostname, url.port or 443, type=socket.SOCK_DGRAM):
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # UDP: nothing is sent
            return str(probe.getsockname()[0])
    return socket.gethostname()


def _is_every_address(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
