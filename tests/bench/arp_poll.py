"""``python -m tests.bench.arp_poll LINK ADDRESS SECONDS``: when addresses of a LAN first answer, seen from the LAN.

Runs in the LAN's network namespace. For each line on standard input, an IPv4 address, it sends ARP requests at this
interval until one is answered, and prints the time of the answer (CLOCK_MONOTONIC, which all processes share). The link
may be missing meanwhile.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time

_ARP = 0x0806
_REQUEST, _REPLY = 1, 2
_BROADCAST = b"\xff" * 6


def main(link: str, own: str, interval: float) -> None:
    """Answer each line of standard input."""
    print("ready", flush=True)
    for line in sys.stdin:
        wanted = socket.inet_aton(line.strip())
        answered = None
        while answered is None:
            with contextlib.suppress(OSError):
                answered = _poll(link, socket.inet_aton(own), wanted, interval)
            time.sleep(0 if answered else interval)
        print(answered, flush=True)


def _poll(link: str, own: bytes, wanted: bytes, interval: float) -> float:
    # A socket for each question, so that no answer to an earlier one is left in it.
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP)) as packets:
        packets.bind((link, _ARP))
        mac = packets.getsockname()[4]
        header = struct.pack("!6s6sH", _BROADCAST, mac, _ARP)
        request = header + struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, _REQUEST, mac, own, bytes(6), wanted)
        while True:
            packets.send(request)
            if answered := _answer(packets, wanted, time.perf_counter() + interval):
                return answered


def _answer(packets: socket.socket, wanted: bytes, until: float) -> float | None:
    while (left := until - time.perf_counter()) > 0:
        packets.settimeout(left)
        try:
            operation, _, sender = struct.unpack_from("!H6s4s", packets.recv(64), 20)
        except TimeoutError:
            return None
        if operation == _REPLY and sender == wanted:
            return time.perf_counter()
    return None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
