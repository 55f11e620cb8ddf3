"""Ports for servers of other processes, which begin to listen seconds after the port was chosen."""

from __future__ import annotations

import secrets
import socket

# Below those that the kernel gives meanwhile to connections and to whoever binds port 0 (ip(7): ip_local_port_range).
_PORTS = range(10_000, 30_000)
_given: set[int] = set()


def free_port() -> int:
    """A port of the loopback address that is free now and is given to nobody who did not ask for it."""
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
