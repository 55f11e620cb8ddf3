"""A DHCP server that follows a script: it answers REQUESTs with what the test gives, right or wrong."""

from __future__ import annotations

import argparse
import dataclasses
import socket
import subprocess
import sys
from ipaddress import IPv4Address

from controller.network.dhcp import messages
from controller.network.dhcp.messages import Message
from tests.support.command import SYSTEM_PATH
from tests.support.lan import INSIDE, Lan

_REPLY = 2  # the first byte of a server's message (RFC 2131 section 2)


class LyingServer:
    """Offers one address of the LAN and answers each REQUEST with ``kind``; a context manager that stops it.

    ``lease`` is the lease time in hexadecimal, "" for none, and ``server`` its identifier, by default the gateway's.
    One that refuses does so to requests to other servers, too.
    """

    def __init__(self, lan: Lan, kind: int, *, lease: str = "00000e10", server: str = "") -> None:
        identifier = server or lan.gateway
        arguments = ("--server", identifier, "--address", lan.address(100), "--kind", str(kind), "--lease", lease)
        self._command = (
            *("nsenter", f"--net=/run/netns/{lan.namespace}", "setpriv", "--pdeathsig", "KILL"),
            *(sys.executable, "-m", __name__, *arguments),
        )

    def __enter__(self) -> LyingServer:
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": SYSTEM_PATH, "PYTHONPATH": ":".join(sys.path)},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=20)


def _decoded(data: bytes) -> Message | None:
    """Decode a client's message."""
    return messages.decode(bytes([_REPLY]) + data[1:])


def _serve(given: argparse.Namespace) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        # Each of two servers receives every broadcast.
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, INSIDE.encode())
        port.bind(("", 67))
        print("ready", flush=True)
        while True:  # until it is killed
            asked = _decoded(port.recv(2048))
            if asked is not None and _is_answered(asked, given):
                kind = messages.OFFER if asked.kind == messages.DISCOVER else given.kind
                port.sendto(_reply(asked, kind, given), ("255.255.255.255", 68))


def _is_answered(asked: Message, given: argparse.Namespace) -> bool:
    return given.kind == messages.NAK or asked.server in (None, IPv4Address(given.server))


def _reply(asked: Message, kind: int, given: argparse.Namespace) -> bytes:
    options = {messages.KIND: bytes([kind]), messages.SERVER: IPv4Address(given.server).packed}
    if kind != messages.NAK:
        options[messages.SUBNET_MASK] = bytes([255, 255, 255, 0])
        if given.lease:
            options[messages.LEASE_SECONDS] = bytes.fromhex(given.lease)
    reply = dataclasses.replace(asked, kind=kind, your_address=IPv4Address(given.address), options=options)
    return bytes([_REPLY]) + reply.encode()[1:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--server", "--address", "--lease"):
        parser.add_argument(name)
    parser.add_argument("--kind", type=int)
    _serve(parser.parse_args())
