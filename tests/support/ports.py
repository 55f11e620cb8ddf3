"""Ports for servers in other processes, which start listening seconds after the port was chosen."""

from __future__ import annotations

import secrets
import socket

# Below the kernel's ephemeral ports, which may be taken at any moment (ip(7): ip_local_port_range).
_PORTS = range(10_000, 30_000)
_given: set[int] = set()


def free_port() -> int:
    """Return a free port on loopback that the kernel does not assign automatically."""
    while True:
        port = secrets.choice(_PORTS)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
